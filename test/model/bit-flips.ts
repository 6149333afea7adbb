/**
 * Bits flipped anywhere in the cache directory while it is not in use: after a clean stop and after kill -9, in data
 * files, database, lock table, VERSION and mark. Reads give right bytes, or a refusal that says what to do. A process
 * may die of an index that was not closed, or may not be able to read it. The next one, told so as by a supervisor,
 * then gives right bytes.
 *
 * FLIPS=n sets their number; SEED=n another sequence.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { flipBit } from '../fixtures/damage.ts'
import type { FlipLine } from '../fixtures/flips.ts'
import { attempt } from '../fixtures/run.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'

const flipsWanted = Number(process.env.FLIPS ?? 400)
const main = fileURLToPath(new URL('../fixtures/flips-main.js', import.meta.url))
const random = seeded(seed)
/** Caches that one process checks. */
const batch = 16
/** Longest that one cache may take: copying a damaged index is given up after 30 s. */
const silenceMsMax = 90_000
const remedy = /remove .* to start|name an empty directory|remove the directory|mount with --block-size/

/** Ends of a process that speak of its memory. */
const deadly = /^SIG(SEGV|BUS|ABRT|FPE|ILL)$/

/** Files by what they are, how often they are chosen, and the most flips at once. */
const targets = [
  { name: 'images', weight: 3, flipsMax: 60 },
  { name: 'index/data.mdb', weight: 4, flipsMax: 12 },
  { name: 'index/lock.mdb', weight: 0.5, flipsMax: 12 },
  { name: 'VERSION', weight: 0.5, flipsMax: 2 },
  { name: 'index/CLEAN', weight: 0.5, flipsMax: 2 },
]

/** Flip bits of one target. @returns how many */
function damageOne(directory: string): number {
  const there = targets.filter(({ name }) => existsSync(join(directory, name)))
  let chance = random() * there.reduce((sum, { weight }) => sum + weight, 0)
  const target = there.find(({ weight }) => (chance -= weight) < 0) ?? there[0]!
  const flips = between(random, 1, target.flipsMax + 1)
  for (let k = 0; k < flips; k++) {
    const path = join(directory, target.name)
    const names = statSync(path).isDirectory() ? readdirSync(path).map(name => join(path, name)) : [path]
    const file = names[between(random, 0, names.length)]!
    const sizeBytes = statSync(file).size
    // The first pages of the database say where everything is.
    const end = target.name === 'index/data.mdb' && random() < 0.2 ? 8192 : sizeBytes
    flipBit(file, between(random, 0, end), between(random, 0, 8))
  }
  return flips
}

/** The last line about a cache, and the signal of the process that ended after it. */
interface Outcome extends FlipLine {
  readonly died: string | null
}

/** Check caches, in as many processes as it takes. */
async function checkAll(mode: 'check' | 'doubt', directories: readonly string[]): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>()
  for (let left = [...directories]; left.length > 0; ) {
    const child = spawn(process.execPath, [main, mode, ...left], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    const exited = once(child, 'exit')
    let silence = setTimeout(() => child.kill('SIGKILL'), silenceMsMax)
    for await (const text of createInterface({ input: child.stdout })) {
      clearTimeout(silence)
      silence = setTimeout(() => child.kill('SIGKILL'), silenceMsMax)
      const line = JSON.parse(text) as FlipLine
      outcomes.set(line.directory, { ...line, died: null })
    }
    const [code, signal] = await exited
    clearTimeout(silence)
    for (const [directory, line] of outcomes) {
      const isLast = line.died === null && (line.event === 'booting' || line.event === 'booted')
      if (isLast) outcomes.set(directory, { ...line, died: signal ?? `exit code ${code}` })
    }
    left = left.filter(directory => !outcomes.has(directory))
    if (outcomes.size === 0) throw new Error('the checking process says nothing')
  }
  return outcomes
}

// For any number of them: the user that runs this file has a limit too.
t.setTimeout(3_600_000)

t.test(`${flipsWanted} flipped bits never give a wrong byte (SEED=${seed})`, async t => {
  const top = mkdtempSync(join(tmpdir(), 'parentfs-flips-'))
  t.teardown(() => rmSync(top, { recursive: true, force: true }))
  const [clean, killed] = [join(top, 'clean'), join(top, 'killed')]
  t.equal((await attempt(process.execPath, main, 'fill', clean)).code, 0)
  t.equal((await attempt(process.execPath, main, 'abandon', killed)).signal, 'SIGKILL')
  t.ok(existsSync(join(clean, 'index/CLEAN')) && !existsSync(join(killed, 'index/CLEAN')))
  const counts = { flips: 0, caches: 0, right: 0, refused: 0, died: 0, unreadable: 0, copied: 0, empty: 0 }
  while (counts.flips < flipsWanted) {
    const directories = Array.from({ length: batch }, (_, k) => join(top, `${k}`))
    for (const directory of directories) {
      cpSync(random() < 0.4 ? clean : killed, directory, { recursive: true })
      counts.flips += damageOne(directory)
      counts.caches++
    }
    const [died, unreadable]: [string[], string[]] = [[], []]
    for (const outcome of (await checkAll('check', directories)).values()) {
      const { directory, event, message } = outcome
      if (event === 'right') counts.right++
      else if (event === 'refused' && remedy.test(message)) counts.refused++
      else if (event === 'refused') unreadable.push(directory)
      else if (outcome.died !== null && deadly.test(outcome.died)) died.push(directory)
      else t.fail(JSON.stringify(outcome))
    }
    counts.died += died.length
    counts.unreadable += unreadable.length
    const followers = [...(await checkAll('doubt', died)).values(), ...(await checkAll('check', unreadable)).values()]
    for (const outcome of followers) {
      if (outcome.index === 'copied') counts.copied++
      if (outcome.index === 'empty') counts.empty++
      t.equal(outcome.event, 'right', `the next process: ${JSON.stringify(outcome)}`)
    }
    for (const directory of directories) rmSync(directory, { recursive: true, force: true })
  }
  t.comment(counts)
  t.ok(counts.right > 0 && counts.refused > 0, 'both happened')
})
