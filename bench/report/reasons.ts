/** Why another is ahead, for each row in which it is. Pure. */
import { coldQuestions, warmQuestions } from '../compare/samples.ts'
import { figure } from './figure.ts'
import type { Row } from './ratios.ts'

interface Reason {
  readonly title: string
  readonly why: string
  readonly applies: (row: Row) => boolean
}

/** Less than this is no lead: what differs between two runs of the same program. */
const leadMin = 1.03

const asked = (row: Row, ...questions: readonly string[]) => questions.includes(row.question)
const by = (row: Row, ...contenders: readonly string[]) => contenders.some(name => row.contender.startsWith(name))

/** The first that applies counts. */
const reasons: readonly Reason[] = [
  {
    title: 'The comparison server',
    why: 'It only reads and writes, with its file in the page cache. parentfs adds two looks into the residency table.',
    applies: row => by(row, 'comparison'),
  },
  {
    title: 'The page cache of the file itself',
    why: 'The kernel answers buffered reads of the raw file, and of a complete image by passthrough, from its own pages. Without passthrough each page comes through the daemon once.',
    applies: row =>
      by(row, 'raw file', 'parentfs passthrough') && asked(row, 'warm-4k-buffered', 'warm-1m-buffered', 'reopen'),
  },
  {
    title: 'One read at a time, warm',
    why: 'Bimodal on few processors: the scheduler wakes the daemon on the processor of the reader or on another. bench/results/warm.json has many rounds, and the ratio of the best.',
    applies: row => asked(row, 'warm-4k-qd1', 'warm-4k-buffered', 'boot-warm'),
  },
  {
    title: 'Everything at the first read',
    why: 'rclone without tuning and s3fs fetch large pieces, nearly the whole image, for the first reads. Later reads find their bytes there, and without a cap that takes no time. The rows of fetched bytes show the cost.',
    applies: row => {
      const isGreedy = by(row, 'rclone', 's3fs') && row.contender !== 'rclone tuned'
      const isFar = row.distance !== null && !row.distance.startsWith('0 ms')
      return isGreedy && asked(row, 'cold-random', 'herd', ...(isFar ? ['cold-16-threads', 'boot-cold'] : []))
    },
  },
  {
    title: 'One cold read',
    why: 'parentfs plans, fetches and answers a miss on its main thread, and fetches the whole block of 64 KiB. That takes about a millisecond more than a program in C. The other rows show the gain of it: checksums, an index, one fetch for all readers.',
    applies: row => asked(row, 'cold-random', 'herd'),
  },
  {
    title: 'Bytes of a boot',
    why: 'A program without read-ahead that fetches 64 or 128 KiB around each read needs fewer bytes, and waits for each. Compare the seconds.',
    applies: row => asked(row, 'boot-cold-bytes'),
  },
  {
    title: 'An origin that costs nothing',
    why: 'At no distance and without a cap no read waits. CPU time for each byte decides, on processors that the web server needs too. parentfs spends it on checksums, read-ahead and JavaScript. From 2 ms of distance on, concurrent requests count more.',
    applies: row =>
      row.distance?.startsWith('0 ms') === true && asked(row, 'cold-16-threads', 'cold-sequential', 'boot-cold'),
  },
  {
    title: 'The link is full',
    why: 'With a cap both read at its rate. The few hundredths are the begin, while the read-ahead window grows.',
    applies: row => asked(row, 'cold-sequential') && row.distance?.includes('MiB/s') === true,
  },
  {
    title: 'Large pieces in sequence',
    why: 'Without a cap a program that requests many megabytes at once has more in flight than parentfs, which limits its read-ahead.',
    applies: row => asked(row, 'cold-sequential'),
  },
  {
    title: 'Variants of parentfs',
    why: 'They share all code that this row measures: the lead is the difference of two runs.',
    applies: row => by(row, 'parentfs'),
  },
]

/** A list: who is ahead of the reference in every round, where, and why; also where no reason is known. */
export function whoIsAhead(rows: readonly Row[]): string {
  const ahead = rows.filter(row => row.ratio !== null && row.ratio.min >= leadMin)
  const groups = new Map<Reason | null, Row[]>()
  for (const row of ahead) {
    const reason = reasons.find(({ applies }) => applies(row)) ?? null
    groups.set(reason, [...(groups.get(reason) ?? []), row])
  }
  const lines = [...reasons, null].flatMap(reason => {
    const group = groups.get(reason)
    if (!group) return []
    const { title, why } = reason ?? { title: 'Not explained', why: 'No reason is known.' }
    return [`- **${title}.** ${why}`, ...byQuestion(group)]
  })
  return lines.length === 0 ? 'No contender, in any row.\n' : `${lines.join('\n')}\n`
}

/** `question: who (times as good, where)`, for one reason. */
function byQuestion(group: readonly Row[]): string[] {
  const titles = new Map([...coldQuestions, ...warmQuestions].map(({ id, title }) => [id, title]))
  const questions = [...new Set(group.map(({ question }) => question))]
  return questions.map(question => {
    const rows = group.filter(row => row.question === question)
    const said = rows.map(({ contender, distance, ratio }) => {
      const where = distance === null ? '' : ` at ${distance}`
      return `${contender}${where} ${figure(ratio!.median)}`
    })
    return `  - ${titles.get(question)}: ${said.join('; ')}`
  })
}
