/**
 * The run itself: its counts, the neighbours of each check, and that nothing is late, skipped or lost without being
 * seen.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { attempt } from './fixtures/run.ts'
import { patienceMs, until } from './fixtures/until.ts'
import type { Check, Company, Result } from './runner/check.ts'
import { type Ended, runChild } from './runner/child.ts'
import { everything, fileMsMax, mounting, ofNode, onlyFiles, slots, testFiles, timed, weights } from './runner/plan.ts'
import { judgeNative, judgeProgram } from './runner/programs.ts'
import { type Machine, thisMachine, unexplained } from './runner/skips.ts'
import { runInSlots } from './runner/slots.ts'
import { Tally } from './runner/tally.ts'
import { judgeTap, tapFile } from './runner/tap-file.ts'

const well = { code: 0, signal: null, isLate: false, seconds: 1, cpuSeconds: 1 } as const
const wellResult: Result = { passed: 1, failed: 0, skipped: [], seconds: 1, cpuSeconds: 1, output: [] }
const unexplainedBy = (machine: Partial<Machine>, reason: string, env: NodeJS.ProcessEnv = {}) =>
  unexplained([{ reason, env }], { isRoot: true, hasFuse: true, kernel: [6, 18], canInstall: true, ...machine }).length

t.test('npx tap has the limit of time of the whole, and runs the compiled file of a test', async t => {
  const settings = parse(readFileSync('.taprc', 'utf8'))
  t.equal(settings.timeout * 1000, fileMsMax)
  const { code, stdout } = await attempt(process.execPath, ...settings['node-arg'], 'test/base/printable.ts')
  t.equal(code, 0)
  t.match(stdout.toString(), /^# \{ total: \d+, pass: \d+ \}$/m)
})

t.test('a file counts as its totals say, and whatever else went wrong counts as one', async t => {
  const totals = '# { total: 6, pass: 3, fail: 1, todo: 1, skip: 1 }'
  const cases: [Partial<Ended> & { lines: string[] }, { passed: number; failed: number }][] = [
    [{ lines: ['# { total: 5, pass: 5 }', '# time=9ms'] }, { passed: 5, failed: 0 }],
    [
      { lines: [totals], code: 1 },
      { passed: 3, failed: 1 },
    ],
    [
      { lines: ['# { total: 5, pass: 5 }'], code: 7 },
      { passed: 5, failed: 1 },
    ],
    [
      { lines: ['# { total: 5, pass: 5 }'], code: null, signal: 'SIGSEGV' },
      { passed: 5, failed: 1 },
    ],
    [
      { lines: ['# { total: 5, pass: 5 }'], code: null, isLate: true },
      { passed: 5, failed: 1 },
    ],
    [{ lines: ['ok 1 - it left in the middle'] }, { passed: 0, failed: 1 }],
    [{ lines: ['# { total: 0, pass: 0 }'] }, { passed: 0, failed: 1 }],
    [{ lines: [] }, { passed: 0, failed: 1 }],
    [{ lines: ['    # { total: 5, pass: 5 }'] }, { passed: 0, failed: 1 }],
  ]
  for (const [ended, expected] of cases) {
    const result = judgeTap({ ...well, ...ended }, {})
    t.match(result, expected, JSON.stringify(ended))
    t.equal(result.output.length > 0, expected.failed > 0, 'it is told in full when it failed')
  }
})

t.test('skipped tests and assertions are found with their reasons', async t => {
  const lines = [
    'ok 1 - a # SKIP no root',
    '    ok 2 - b # SKIP of \\#1',
    'ok 3 - c # SKIP',
    'ok 4 - d # TODO later',
    'ok 5 - # SKIPPED it did not # time=3ms',
    '    # SKIP is what this comment says',
    '# { total: 4, pass: 0, todo: 1, skip: 3 }',
  ]
  const { skipped } = judgeTap({ ...well, lines }, {})
  t.same(
    skipped.map(({ reason }) => reason),
    ['no root', 'of #1', '', 'later'],
  )
})

t.test('native tests count by themselves; a target that counts nothing has failed', async t => {
  const lines = [
    'ok - a',
    '  skipped: no such file system',
    'ok - b',
    '2 passed, 0 failed, 1 skipped',
    '1 passed, 0 failed',
  ]
  const result = judgeNative({ ...well, lines }, {})
  t.match(result, { passed: 3, failed: 0, skipped: [{ reason: 'no such file system' }], output: [] })
  t.match(judgeNative({ ...well, lines: ['0 passed, 0 failed, 2 skipped'] }, {}).skipped, [{ reason: '' }, {}])
  t.match(judgeNative({ ...well, lines, code: 2 }, {}), { passed: 3, failed: 1 })
  t.match(judgeNative({ ...well, lines: ['1 passed, 2 failed, 0 skipped'], code: 1 }, {}), { passed: 1, failed: 2 })
  t.match(judgeNative({ ...well, lines: [] }, {}), { passed: 0, failed: 1 })
  t.match(judgeProgram({ ...well, lines: ['x'] }), { passed: 1, failed: 0, output: [] })
  t.match(judgeProgram({ ...well, lines: ['x'], code: 1 }), { passed: 0, failed: 1, output: ['x'] })
})

t.test('a skip is explained by a reason of the list that the machine bears out, and by nothing else', async t => {
  t.equal(unexplainedBy({}, 'mounting needs root and /dev/fuse'), 1)
  t.equal(unexplainedBy({ isRoot: false }, 'mounting needs root and /dev/fuse'), 0)
  t.equal(unexplainedBy({ hasFuse: false }, 'mounting needs root and /dev/fuse'), 0)
  t.equal(unexplainedBy({}, 'fusermount3 is missing'), 1)
  t.equal(unexplainedBy({ canInstall: false }, 'fusermount3 is missing'), 0)
  t.equal(unexplainedBy({}, 'this transport has no passthrough'), 1)
  t.equal(unexplainedBy({}, 'this transport has no passthrough', { TRANSPORT: 'fuse-native' }), 0)
  t.equal(unexplainedBy({}, 'the kernel offers no passthrough'), 1)
  t.equal(unexplainedBy({ kernel: [6, 8] }, 'the kernel offers no passthrough'), 0)
  t.equal(unexplainedBy({}, 'no RWF_NOWAIT'), 1)
  t.equal(unexplainedBy({}, 'no RWF_NOWAIT', { NATIVE_TARGET: 'test-arm64' }), 0)
  t.equal(unexplainedBy({}, ''), 1, 'no reason at all')
  t.equal(unexplainedBy({}, 'it fails now and then'), 1)
  t.equal(unexplainedBy({}, 'OBJECTS=2000000 starts with that many scattered blocks'), 0)
  t.ok(thisMachine().kernel[0] >= 4)
})

t.test('a check is told with its skips and its cost, and the last line is the sum', async t => {
  const tally = new Tally(({ skipped }) => skipped.filter(({ reason }) => reason === 'bad'))
  const skip = (reason: string) => ({ reason, env: {} })
  t.same(tally.add('a', { ...wellResult, passed: 4, skipped: [skip('good')] }), [
    '  skipped: good',
    'ok - a (4 passed, 0 failed, 1 skipped; 1.0 s, 1.0 s of CPU)',
  ])
  t.equal(tally.failed, 0)
  t.match(tally.add('b', { ...wellResult, skipped: [skip('bad')] }), [
    '  skipped: bad',
    /^ {2}not ok - .* bad$/,
    /^not ok - b /,
  ])
  t.match(tally.add('c', { ...wellResult, failed: 2, cpuSeconds: null, output: ['why'] }), [
    'why',
    /^not ok - c \(1 passed, 2 f/,
  ])
  t.equal(tally.failed, 3)
  const lines = tally.ending(62.4)
  t.equal(lines.at(-1), '6 passed, 3 failed, 2 skipped')
  t.ok(lines.includes('# failed: b') && lines.includes('# failed: c') && !lines.includes('# failed: a'))
})

t.test('as many checks and mounts at once as there are slots, and no mount beside what is timed', async t => {
  let running: Company[] = []
  const seen = { most: 0, mounts: 0, mountsAtLast: 0, begun: [] as string[] }
  const check = (name: string, company: Company, weightSeconds: number): Check => {
    return { name, company, weightSeconds, run: async () => wellResult }
  }
  const checks = [
    check('timed second', 'timed', 1),
    check('timed first', 'timed', 99),
    ...Array.from({ length: 8 }, (_, k) => check(`mount ${k}`, 'mount', k)),
    ...Array.from({ length: 7 }, (_, k) => check(`unit ${k}`, 'unit', 50 + k)),
  ]
  await runInSlots(checks, { checks: 3, mounts: 2 }, async ({ name, company }) => {
    if (company === 'timed') t.ok(running.length === 0 || String(running) === 'unit', `${name} has one unit beside it`)
    else t.ok(!running.includes('timed') || company === 'unit', `${name} is no mount beside what is timed`)
    running = [...running, company]
    if (running.includes('timed')) t.ok(running.length <= 2, name)
    seen.begun.push(name)
    seen.most = Math.max(seen.most, running.length)
    const mounts = running.filter(each => each === 'mount').length
    const waitsNoUnit = seen.begun.filter(name => name.startsWith('unit')).length === 7
    if (waitsNoUnit) seen.mountsAtLast = Math.max(seen.mountsAtLast, mounts)
    else seen.mounts = Math.max(seen.mounts, mounts)
    // In turns of the loop, not in time: a busy machine would end both at once.
    for (let turns = company === 'mount' ? 10 : 1; turns > 0; turns--) await nextTurn()
    running.splice(running.indexOf(company), 1)
  })
  t.match(seen, { most: 3, mounts: 2, mountsAtLast: 3 }, 'one mount more once no unit waits')
  t.same([...seen.begun].sort(), checks.map(({ name }) => name).sort(), 'each once')
  t.same(seen.begun.slice(0, 2), ['timed first', 'unit 0'], 'beside what is timed, the shortest')
  const rest = seen.begun.slice(seen.begun.indexOf('mount 7'))
  t.same(rest.slice(0, 3), ['mount 7', 'mount 6', 'unit 6'], 'then the longest first')
  t.ok(seen.begun.indexOf('timed second') < seen.begun.indexOf('mount 7'))
})

t.test('the plan names files that there are, and has every check once', async t => {
  const files = testFiles()
  for (const name of [...timed, ...mounting, ...Object.keys(weights)]) t.ok(files.includes(name), name)
  const names = everything({}).map(({ name }) => name)
  t.equal(new Set(names).size, names.length)
  for (const name of files) t.ok(names.includes(name), name)
  t.ok(slots.checks >= slots.mounts)
  const some = ofNode({}).map(({ name }) => name)
  for (const name of ['mount/reads', 'over fuse-native: mount/reads', 'native/addon', 'origin/native-tls']) {
    t.ok(some.includes(name), `another version of Node.js may fail ${name}`)
  }
  t.notOk(some.includes('base/sizes'))
  t.throws(() => onlyFiles(['test/fixtures/run.ts'], {}), /no test file/)
  t.throws(() => onlyFiles(['test/nothing.ts'], {}), /no test file/)
})

t.test('a program says what it said, what it cost, and how it ended', async t => {
  const sh = (script: string) => runChild(['sh', '-c', script], { env: process.env, msMax: patienceMs })
  t.match(await sh('echo out; echo err >&2; exit 3'), { code: 3, isLate: false })
  t.same([...(await sh('echo a; echo b >&2')).lines].sort(), ['a', 'b'])
  const { cpuSeconds } = await sh('i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done')
  t.ok(cpuSeconds !== null && cpuSeconds > 0, `${cpuSeconds} s`)
})

/** Has the time of a check be over, whatever it is, once there is a file `child` in its directory. */
function endOnceBegun(t: Test, directory: string): number {
  const lateMs = 12_345
  const later = globalThis.setTimeout
  t.capture(globalThis, 'setTimeout', ((then: () => void, ms: number) => {
    if (ms !== lateMs) return later(then, ms)
    const look = setInterval(() => {
      if (!existsSync(join(directory, 'child'))) return
      clearInterval(look)
      then()
    }, 5)
    return look
  }) as typeof setTimeout)
  return lateMs
}

t.test('whoever is late is ended with all that it started, by force if need be', async t => {
  const directory = t.testdir()
  const msMax = endOnceBegun(t, directory)
  // Neither it nor its child ends by itself, or when it is asked to.
  const forever = 'while :; do sleep 0.1; done'
  const script = `trap '' TERM; (${forever}) & echo $! >new; mv new child; wait; ${forever}`
  const words = ['sh', '-c', `cd '${directory}'; ${script}`]
  const ended = await runChild(words, { env: process.env, msMax, graceMs: 300 })
  t.match(ended, { isLate: true, cpuSeconds: null })
  const child = Number(readFileSync(join(directory, 'child'), 'utf8'))
  await until(() => !existsSync(`/proc/${child}`), patienceMs, 'the end of its child')
  t.match(judgeTap(ended, {}), { failed: 1 })
})

t.test('whoever is late has a time to tidy up', async t => {
  const directory = t.testdir()
  const msMax = endOnceBegun(t, directory)
  const script = `trap 'sleep 0.3; echo tidied; exit 1' TERM; echo >child; while :; do sleep 0.1; done`
  const words = ['sh', '-c', `cd '${directory}'; ${script}`]
  const { isLate, lines } = await runChild(words, { env: process.env, msMax, graceMs: patienceMs })
  t.ok(isLate)
  t.ok(lines.includes('tidied'), lines.join())
})

t.test('who leaves a process behind that holds its outputs has ended all the same, and the process ends', async t => {
  const directory = t.testdir()
  const script = `cd '${directory}'; sleep 600 & echo $! >left; echo said`
  const ended = await runChild(['sh', '-c', script], { env: process.env, msMax: patienceMs, graceMs: 100 })
  t.match(ended, { code: 0, isLate: false, lines: ['said'] })
  const left = Number(readFileSync(join(directory, 'left'), 'utf8'))
  await until(() => !existsSync(`/proc/${left}`), patienceMs, 'the end of what was left')
})

t.test('a test file has the limit of the run, and a late one says which test it was', async t => {
  const directory = t.testdir({
    'late.mjs': `import t from ${JSON.stringify(import.meta.resolve('tap'))}
t.test('quick', async t => t.ok(true))
t.test('endless', async () => new Promise(resolve => setTimeout(resolve, 600_000)))`,
  })
  const options = {
    name: 'late',
    path: join(directory, 'late.mjs'),
    env: process.env,
    company: 'unit',
    weightSeconds: 1,
  } as const
  const { passed, failed, output } = await tapFile({ ...options, msMax: 8000 }).run()
  t.match({ passed, failed }, { passed: 1, failed: 1 })
  t.ok(output.some(line => /not ok 2 - endless/.test(line)))
  t.equal(fileMsMax, 300_000)
})

t.test('given files are run alone, and the last line has the form that others read', async t => {
  const { code, stdout } = await attempt(process.execPath, 'build/test/run.js', 'test/async/on-settled.ts')
  const lines = stdout.toString().trim().split('\n')
  t.equal(code, 0)
  t.match(lines[0], /^ok - async\/on-settled \(\d+ passed, 0 failed, 0 skipped; [\d.]+ s, [\d.]+ s of CPU\)$/)
  t.match(lines.at(-1), /^\d+ passed, 0 failed, 0 skipped$/)
})
