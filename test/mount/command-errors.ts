/**
 * Every command with at least three inputs that it cannot use: one plain sentence on standard error, the exit code of
 * `parentfs --help`, nothing on standard output, and nothing of a stack or of JSON.
 *
 * The parser's complaints are heard in this process; the others by the program itself, some of them as another user.
 */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import t, { type Test } from 'tap'
import { createProgram } from '../../src/cli/command-program.ts'
import {
  cannotMount,
  command,
  isRunning,
  mountDaemon,
  type Place,
  patienceMs,
  place,
  statusOf,
} from '../fixtures/daemon.ts'
import { writeSample } from '../fixtures/images.ts'
import { attempt, type Ran } from '../fixtures/run.ts'
import { asStranger, noStranger } from '../fixtures/stranger.ts'
import { until } from '../fixtures/until.ts'

type Row = readonly [words: readonly string[], code: number, sentence: RegExp]

const empty = /it is empty: is a variable not set\?/
const unknown = /unknown option '--bogus': see "parentfs help/
const missing = /missing required argument '\w+': see "parentfs help [a-z]/
const surplus = /too many arguments for '[\w-]+'\. Expected \d arguments? but got \d: see/
const control = 'a\u001b[31m\nb'

/** Complaints of the parser: exit code 2. */
const misspelt: readonly (readonly [words: readonly string[], sentence: RegExp])[] = [
  ...['init', 'check-config', 'status', 'plan', 'reload', 'support-bundle', 'web', 'metrics', 'fleet'].flatMap(name => [
    [[name, ''], empty] as const,
    [[name, 'a', 'b'], surplus] as const,
    [[name, '--bogus'], unknown] as const,
  ]),
  ...['promote', 'pin', 'unpin', 'locations', 'remove', 'move-cache', 'seal', 'bench'].flatMap(name => [
    [[name], missing] as const,
    [[name, ''], empty] as const,
    [[name, 'a', '--bogus'], unknown] as const,
  ]),
  ...['images', 'top', 'upgrade', 'unmount', 'drain', 'verify', 'evict', 'mode'].flatMap(name => [
    [[name, '-m', ''], /option '-m, --mountpoint <dir>': it is empty/] as const,
    [[name, '-m'], /argument missing: see "parentfs help/] as const,
    [[name, '--bogus'], unknown] as const,
  ]),
  [['doctor', ''], empty],
  [['doctor', '--cache-dir', ''], empty],
  [['doctor', 'file:///x', '--config', 'y'], /the origin does not go with --config/],
  [['mount'], missing],
  [['mount', '', '/x'], empty],
  [['mount', '--config', ''], empty],
  [['mount', 'file:///x', '/y', '--capacity', '-1'], /"-1" is not a size: write it like 500MiB/],
  [
    ['mount', 'file:///x', '/y', '--metrics-port', '70000'],
    /^error: option '--metrics-port <port>': "70000" is not a port: give 1 to 65535/,
  ],
  [['evict'], /evict needs an IMAGE, or --all/],
  [['evict', '--all', '--origin', ''], empty],
  [['drain', 'x'], surplus],
  [['mode', 'writeback'], /mode: "writeback" is none of promote, proxy, forward/],
  [['profile', 'erase'], /unknown command 'erase'/],
  [['profile', 'import', 'a.raw'], missing],
  [['profile', 'check', ''], empty],
  [['profile', 'record', 'x', '--time', '5'], /"5" is not a duration: write it like/],
  [['seal', 'x', '--salt', 'xyz'], /a salt is 1 to 256 bytes in hex/],
  [['seal', 'x', '--data-block-size', '100'], /a block has 512 bytes to 512KiB/],
  [['explain', 'a.raw'], missing],
  [['explain', 'a.raw', '-1'], /"-1" is not a size/],
  [['explain', '', '0'], empty],
  [['promote', 'a.raw', '--range', '5-1'], /"5-1" is an empty range: put the lower end first/],
  [['verify', '--locations'], /--locations needs an image/],
  [['set', 'capacity'], missing],
  [['set', 'capacity', 'ten'], /"ten" is not a size/],
  [['set', 'size', '1GiB'], /unknown command 'size'/],
  [['plan', '--capacity', '0x'], /"0x" is not a capacity: write it like 2x/],
  [['top', '--interval', 'x'], /"x" is not a duration/],
  [['fleet', 'leave', ''], empty],
  [['web', '--port', '0'], /"0" is not a port/],
  [['web', 'a', '-m', 'b'], /a and -m b are two mounts: give one of them/],
  [['completion'], missing],
  [['completion', 'tcsh'], /shell: "tcsh" is none of bash, zsh, fish/],
  [['completion', 'bash', 'zsh'], surplus],
]

t.test('words that no command takes are one sentence that says what it takes', async t => {
  for (const [words, sentence] of misspelt) {
    const complaints: string[] = []
    const program = createProgram({ ended: () => {}, writeError: text => complaints.push(text) })
    await t.rejects(program.parseAsync(['node', 'parentfs', ...words]), CommanderError, words.join(' '))
    t.match(complaints, [/^error: [^\n]+\n?(\(Did you mean [^\n]+\)\n)?$/], words.join(' '))
    t.match(complaints[0], sentence, words.join(' '))
  }
})

t.test('each command has at least three of them', async t => {
  const program = createProgram({ ended: () => {}, writeError: () => {} })
  const shown = program.createHelp().visibleCommands(program)
  const names = shown.map(each => each.name()).filter(name => name !== 'help')
  for (const name of names) {
    const count = misspelt.filter(([words]) => words[0] === name).length
    t.ok(count >= 3, `${name}: ${count}`)
  }
})

/** One plain sentence: no stack, no JSON, no name of a system error, no control character. */
function isPlain(t: Test, { code, stderr, stdout }: Ran, [words, wanted, sentence]: Row): void {
  const what = words.join(' ')
  t.equal(code, wanted, `${what}: ${stderr}`)
  t.match(stderr, /^parentfs: [^\n]+\n$/, what)
  t.match(stderr, sentence, what)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for them
  t.notMatch(stderr, /\bE[A-Z]{4,}\b|[{[]"|\n {4}at |[\x00-\x09\x0b-\x1f\x7f]/, what)
  t.equal(stdout.toString(), '', what)
}

const noMount = /is not a parentfs mount: "parentfs status" lists the mounts/
const noAnswer = /whose daemon does not answer: it died, or .*"parentfs unmount .*" removes what a dead one left/
const noImage = /there is no image "nope": "parentfs images" names them/
const noOrigin = /there is no origin "nope": there is file:/

function makeFiles(top: string) {
  const [file, broken, secret] = [join(top, 'file'), join(top, 'broken.yaml'), join(top, 'secret.yaml')]
  writeFileSync(file, 'hi\n')
  writeFileSync(broken, 'origins: [\n')
  writeFileSync(secret, 'mountpoint: /x\n', { mode: 0o600 })
  return { file, broken, secret }
}

/** A row for each thing that a command cannot use, on a mount that answers and on a dead one. */
function rowsOf(live: Place, dead: Place, { file, broken }: ReturnType<typeof makeFiles>): readonly Row[] {
  const [m, d, top] = [live.mountpoint, dead.mountpoint, live.top]
  return [
    [['help', 'zzzz'], 2, /unknown command 'zzzz': see "parentfs help \[COMMAND\]"$/m],
    [['doctor', 'gopher://x/'], 1, /not an origin; it must begin with file:/],
    [['init', file], 1, /is there already: give another FILE, or --force/],
    [['mount', live.origin, file], 1, /is not a directory: name one that exists/],
    [['mount', `file://${file}`, live.originDirectory], 1, /give the directory that has the images, not an image/],
    [['mount', live.origin, m], 1, /already has a parentfs .*: unmount it first/],
    [['check-config', join(top, 'missing')], 2, /missing cannot be used: no such file or directory$/m],
    [['check-config', top], 2, /not a regular file/],
    [['check-config', broken], 2, /broken\.yaml:2:1: /],
    [['status', d], 1, noAnswer],
    [['status', control], 1, /a\\u001b\[31m b does not exist/],
    [['images', d], 1, noAnswer],
    [['images', file], 1, noMount],
    [['images', '--delta', 'nope', '-m', m], 1, noImage],
    [['promote', 'nope', '-m', m], 1, noImage],
    [['promote', 'a.raw', '-m', m, '--range', '1TiB-2TiB'], 1, /give FROM-TO with FROM below TO, within the image/],
    [['promote', 'a.raw', '-m', m, '--group'], 1, /is in no group: "fleet\.group" names one/],
    [['evict', control, '-m', m], 1, /there is no image "a\\u001b\[31m\\nb"/],
    [['evict', '--all', '--origin', 'nope', '-m', m], 1, noOrigin],
    [['drain', '-m', d], 1, noAnswer],
    [['drain', '--origin', 'nope', '-m', m], 1, noOrigin],
    [['remove', 'nope', '-m', m], 1, noOrigin],
    [['move-cache', live.cacheDirectory, '-m', m], 1, /name a directory beside it|not empty|the cache is there/],
    [['move-cache', live.originDirectory, '-m', m], 1, /is not empty: name an empty directory/],
    [['pin', m], 1, /is a whole mount: name an image in it/],
    [['unpin', 'a.raw', '-m', m], 1, /a\.raw is not pinned: "parentfs images" shows what is/],
    [['mode', 'proxy', 'a.raw', '--origin', 'nope', '-m', m], 1, /do not go together: give one of them/],
    [['profile', 'show', 'nope', '-m', m], 1, noImage],
    [
      ['profile', 'import', 'a.raw', join(top, 'missing'), '-m', m],
      1,
      /missing: no such file or directory: give a file/,
    ],
    [['seal', top], 1, /cannot be sealed: /],
    [['seal', file], 1, /3 bytes, which are no whole blocks of 4096: make the image longer/],
    [['explain', 'a.raw', '0', '2MiB', '-m', m], 1, /give a length from 1 to 1048576/],
    [['locations', 'a.raw', '-m', d], 1, noAnswer],
    [['verify', file], 1, /is not in a parentfs mount: "parentfs status" lists the mounts/],
    [['set', 'capacity', '1', '-m', m], 1, /too small .*: give at least 128MiB/],
    [['plan', d], 1, noAnswer],
    [['reload', m], 1, /was mounted without a configuration file/],
    [['upgrade', m, '--to', join(top, 'missing')], 1, /has no version of parentfs \(no such file or directory\): name/],
    [['top', m, '--once', '--interval', '0s'], 1, /is too short: give 100ms or more/],
    [['fleet', d], 1, noAnswer],
    [['metrics', file], 1, noMount],
    [['web', d], 1, noAnswer],
    [['bench', join(d, 'a.raw')], 1, noAnswer],
    [['support-bundle', join(top, 'missing')], 1, /does not exist: "parentfs status" lists the mounts/],
    [['unmount', top], 1, noMount],
  ]
}

t.test('what is not there, is something else, is dead or belongs to another user', { skip: cannotMount }, async t => {
  const [live, dead] = [place(t), place(t)]
  for (const where of [live, dead]) writeSample(join(where.originDirectory, 'a.raw'), { seed: 1, sizeBytes: 1024 ** 2 })
  const [daemon, killed] = [await mountDaemon(t, live), await mountDaemon(t, dead)]
  const worker = (await statusOf(dead)).pid
  for (const pid of [killed.supervisorPid, worker]) process.kill(pid, 'SIGKILL')
  await until(() => !isRunning(killed.supervisorPid) && !isRunning(worker), patienceMs, 'the end of a daemon')
  const [m, top] = [live.mountpoint, live.top]
  const files = makeFiles(top)
  const [program, ...before] = command
  for (const row of rowsOf(live, dead, files)) isPlain(t, await attempt(program, ...before, ...row[0]), row)
  const denied: readonly Row[] = [
    [['check-config', files.secret], 2, /permission denied$/m],
    [['status', m], 1, noAnswer],
    [['evict', '--all', '-m', m], 1, noAnswer],
    [['unmount', m], 1, /parentfs: /],
  ]
  chmodSync(top, 0o755)
  await t.test('another user', { skip: noStranger }, async t => {
    for (const row of denied) isPlain(t, await attempt(...asStranger(...command, ...row[0])), row)
  })
  t.ok(isRunning(daemon.supervisorPid), 'the mount that answers is still there')
  t.equal((await statusOf(live)).takeovers.count, 0)
})
