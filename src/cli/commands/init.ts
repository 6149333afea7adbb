/**
 * `parentfs init`: asks five questions and writes a configuration file, which `check-config` takes. An answer that is
 * not usable is asked for again, with the reason.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { stringify } from 'yaml'
import { CacheError, messageOf } from '../../base/errors.ts'
import { makeDirectories } from '../../base/make-directories.ts'
import { formatSize } from '../../base/sizes.ts'
import { findOverlaps } from '../../daemon/config/check-overlap.ts'
import { configure, judge, ownSurroundings, sentence } from '../../daemon/config/configuration.ts'
import { capacityBytesDefault } from '../../daemon/config/limits.ts'
import { outageChoices } from '../../daemon/config/settings.ts'
import { remark, say } from '../output/terminal-output.ts'
import { initAnswersMax } from './limits.ts'

interface Answers {
  readonly url: string
  readonly mountpoint: string
  readonly directory: string
  readonly capacity: string
  readonly onOutage: string
}

interface Question {
  readonly key: keyof Answers
  readonly text: string
  /** Null: there is none, and an answer must be given. */
  readonly fallback: string | null
}

/** @param file null: the usual place. @returns the exit code. @throws CacheError invalid-argument */
export async function init(file: string | null, isForced: boolean): Promise<number> {
  const isRoot = process.getuid?.() === 0
  const place = isRoot ? '/etc/parentfs' : join(homedir(), '.config', 'parentfs')
  const path = resolve(file ?? join(place, 'parents.yaml'))
  // Before five answers are given for nothing.
  if (!isForced && existsSync(path)) throw isThere(path)
  const cache = isRoot ? '/var/cache/parentfs' : join(homedir(), '.cache', 'parentfs')
  const questions: readonly Question[] = [
    { key: 'url', text: 'URL of the images, like https://host/parents/ or file:///images', fallback: null },
    { key: 'mountpoint', text: 'directory to mount them on', fallback: '/srv/parents' },
    { key: 'directory', text: 'directory of the cache, on a local SSD', fallback: join(cache, 'parents') },
    { key: 'capacity', text: 'ceiling of the cache', fallback: formatSize(capacityBytesDefault) },
    { key: 'onOutage', text: `reads while the origin is away (${outageChoices.join(' or ')})`, fallback: 'fail' },
  ]
  const answers = await asked(questions)
  try {
    makeDirectories(dirname(path))
    // It may get secrets later.
    writeFileSync(path, textOf(answers), { mode: 0o600, flag: isForced ? 'w' : 'wx' })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw isThere(path, cause)
    const message = `${path} cannot be written: ${messageOf(cause)}`
    throw new CacheError('invalid-argument', `${message}: give another FILE`, { cause })
  }
  say(`${path} is written. Next:`)
  say(`  parentfs doctor --config ${path}`)
  say(`  mkdir -p ${answers.mountpoint} && parentfs mount --config ${path}`)
  return 0
}

function isThere(path: string, cause?: unknown): CacheError {
  return new CacheError('invalid-argument', `${path} is there already: give another FILE, or --force`, { cause })
}

async function asked(questions: readonly Question[]): Promise<Answers> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  const lines = terminal[Symbol.asyncIterator]()
  const answers: Partial<Record<keyof Answers, string>> = {}
  try {
    for (const { key, text, fallback } of questions) {
      for (let tries = 0; answers[key] === undefined; tries++) {
        if (tries === initAnswersMax) throw new CacheError('invalid-argument', `no usable answer about: ${text}`)
        process.stderr.write(`${text}${fallback === null ? '' : ` [${fallback}]`}: `)
        const { value, done } = await lines.next()
        if (done) {
          process.stderr.write('\n')
          throw new CacheError('invalid-argument', `the input ended before: ${text}`)
        }
        const answer = String(value).trim() || fallback
        const complaint = answer === null ? 'an answer is needed' : await complaintAbout({ ...answers, [key]: answer })
        if (complaint === null) answers[key] = answer!
        else remark(complaint)
      }
    }
    return answers as Answers
  } finally {
    terminal.close()
  }
}

/** The complaint about the configuration as far as it is known; null: none. */
async function complaintAbout(answers: Partial<Answers>): Promise<string | null> {
  const document = documentOf({ url: 'file:///', ...answers })
  const { complaints } = judge(document)
  if (complaints !== null) return complaints.map(sentence).join('; ')
  if (answers.mountpoint === undefined) return null
  const overlaps = await findOverlaps(configure({ document, mountpoint: answers.mountpoint }, ownSurroundings()))
  return overlaps.length === 0 ? null : overlaps.join('; ')
}

function documentOf({ url, mountpoint, directory, capacity, onOutage }: Partial<Answers>) {
  const defined = (settings: object) => Object.fromEntries(Object.entries(settings).filter(([, value]) => value))
  return defined({ mountpoint, origin: defined({ url, onOutage }), cache: defined({ directory, capacity }) })
}

function textOf(answers: Answers): string {
  const settings = stringify(documentOf(answers), { lineWidth: 0 })
  return `# Written by "parentfs init". All settings: parentfs.yaml(5).\n${settings}`
}
