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
    why: 'It reads and writes and does nothing else, with its file in the page cache: what parentfs adds to that is looking up what is held, and looking again.',
    applies: row => by(row, 'comparison'),
  },
  {
    title: 'The page cache of the file itself',
    why: 'The kernel answers buffered reads of the raw file, and of a complete image by passthrough, from pages that it has already; without passthrough each page comes through the daemon once.',
    applies: row =>
      by(row, 'raw file', 'parentfs passthrough') && asked(row, 'warm-4k-buffered', 'warm-1m-buffered', 'reopen'),
  },
  {
    title: 'One read at a time, warm',
    why: 'Bimodal on few processors: the scheduler wakes the server on the processor of the reader or on another. bench/results/warm.json has many rounds, and what the best of them come to.',
    applies: row => asked(row, 'warm-4k-qd1', 'warm-4k-buffered', 'boot-warm'),
  },
  {
    title: 'Everything at the first read',
    why: 'rclone without tuning and s3fs fetch large pieces, nearly the whole image, for the first reads; those after them find it there, and without a cap that takes no time. The rows with what was fetched say what that costs.',
    applies: row => {
      const isGreedy = by(row, 'rclone', 's3fs') && row.contender !== 'rclone tuned'
      const isFar = row.distance !== null && !row.distance.startsWith('0 ms')
      return isGreedy && asked(row, 'cold-random', 'herd', ...(isFar ? ['cold-16-threads', 'boot-cold'] : []))
    },
  },
  {
    title: 'One cold read',
    why: 'parentfs plans, fetches and answers a miss in one thread of JavaScript, and fetches the whole block of 64 KiB: about a millisecond more than a program in C that asks for it, or for less. What follows from it (checksums, an index, fetching once for all) is what the other rows show.',
    applies: row => asked(row, 'cold-random', 'herd'),
  },
  {
    title: 'Bytes of a boot',
    why: 'Who fetches the 64 or 128 KiB around each read and nothing ahead needs fewer bytes, and waits for each: compare the seconds.',
    applies: row => asked(row, 'boot-cold-bytes'),
  },
  {
    title: 'An origin that costs nothing',
    why: 'At no distance and without a cap there is nothing to wait for: what counts is processor time per byte, on processors that the web server needs too, and parentfs spends it on checksums, reading ahead and JavaScript. From the first milliseconds of distance on, what is fetched at once counts more.',
    applies: row =>
      row.distance?.startsWith('0 ms') === true && asked(row, 'cold-16-threads', 'cold-sequential', 'boot-cold'),
  },
  {
    title: 'The link is full',
    why: 'With a cap both read as fast as it lets them; a few hundredths are the beginning, in which parentfs reads ahead further and further.',
    applies: row => asked(row, 'cold-sequential') && row.distance?.includes('MiB/s') === true,
  },
  {
    title: 'Large pieces in sequence',
    why: 'Without a cap who asks for many megabytes at once, or for several at a time, has more under way than parentfs, which limits what it fetches ahead of a reader.',
    applies: row => asked(row, 'cold-sequential'),
  },
  {
    title: 'Variants of parentfs',
    why: 'They share everything that this row asks for: the lead is what differs between two runs.',
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
    const { title, why } = reason ?? { title: 'Not explained', why: 'This wants a look.' }
    return [`- **${title}.** ${why}`, ...byQuestion(group)]
  })
  return lines.length === 0 ? 'Nobody, in any row.\n' : `${lines.join('\n')}\n`
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
