/** From samples to ratios: within a round, so that what else the machine does meets both sides. Pure. */
import type { Sample } from '../compare/samples.ts'

/** Of one contender, for one question in one scene. */
export interface Row {
  readonly question: string
  readonly contender: string
  readonly scene: string
  readonly rounds: number
  readonly median: number
  /**
   * Times as good as the reference: above 1 is better. Null for the reference itself, and where a value is not above 0.
   */
  readonly ratio: { readonly median: number; readonly min: number; readonly max: number; readonly best: number } | null
  readonly cpuMs: number
  readonly rssAnonBytes: number
}

/**
 * @param reference the contender that the others are compared with
 * @param better what is good of a question
 */
export function rowsOf(
  samples: readonly Sample[],
  reference: string,
  better: (question: string) => 'lower' | 'higher',
): Row[] {
  const groups = new Map<string, Sample[]>()
  for (const sample of samples) {
    const key = JSON.stringify([sample.question, sample.scene, sample.contender])
    groups.set(key, [...(groups.get(key) ?? []), sample])
  }
  return [...groups.values()].map(group => {
    const { question, contender, scene } = group[0]!
    const others = group.flatMap(sample => {
      const same = (each: Sample) => each.contender === reference && each.question === question && each.scene === scene
      const pair = samples.find(each => same(each) && each.round === sample.round)
      return pair && pair !== sample ? [[sample.value, pair.value] as const] : []
    })
    const goodness = (a: number, b: number) => (better(question) === 'higher' ? a / b : b / a)
    const ratios = others.flatMap(([own, theirs]) => (own > 0 && theirs > 0 ? [goodness(own, theirs)] : []))
    const best = better(question) === 'higher' ? Math.max : Math.min
    const bests = [best(...others.map(([own]) => own)), best(...others.map(([, theirs]) => theirs))] as const
    return {
      question,
      contender,
      scene,
      rounds: group.length,
      median: median(group.map(({ value }) => value)),
      ratio:
        ratios.length === 0
          ? null
          : { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios), best: goodness(...bests) },
      cpuMs: median(group.map(({ cpuMs }) => cpuMs)),
      rssAnonBytes: median(group.map(({ rssAnonBytes }) => rssAnonBytes)),
    }
  })
}

/** Of at least one value; of an even number, the upper one of the middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}

/** Median, least and most, to read. */
export function spread(values: readonly number[]): string {
  const shown = (value: number) => (value < 10 ? value.toFixed(2) : value.toFixed(0))
  return `${shown(median(values))} (${shown(Math.min(...values))} to ${shown(Math.max(...values))})`
}
