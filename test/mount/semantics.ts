/** docs/SEMANTICS.md says what a mount answers: each of its lines is tried here, and it has no others. */
import {
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { constants as os } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  cannotMount,
  type Daemon,
  isGone,
  makeComplete,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
  transport,
} from '../fixtures/daemon.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { openPassed } from '../fixtures/passed.ts'
import { run } from '../fixtures/run.ts'
import { type Row, systemCalls } from '../fixtures/system-call-answers.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount || (transport === 'kernel' ? false : 'the table is of the kernel transport') }
const [KiB, MiB] = [1024, 1024 ** 2]
const missSeconds = 1
const errnos: Readonly<Record<string, number>> = os.errno

/** Mount on which a situation is tried. */
interface Scene {
  readonly where: Place
  readonly daemon: Daemon
  readonly server: HttpOriginServer
  readonly source: string
  readonly target: string
  /** Opened before anything happened, with O_DIRECT; its first 64 KiB are in the cache. */
  readonly file: FileHandle
  /** The same without O_DIRECT; the page cache of the mount has its first 4 KiB. */
  readonly buffered: FileHandle
  readonly calls: string
}

type Try = (scene: Scene) => Promise<string>

interface Situation {
  readonly what: string
  readonly happens: (scene: Scene) => Promise<void>
  readonly rows: readonly (readonly [...Row, Try])[]
}

const readHeld: Try = ({ file }) => answerOf(() => file.read(Buffer.alloc(4 * KiB), 0, 4 * KiB, 0))
const readPaged: Try = ({ buffered }) => answerOf(() => buffered.read(Buffer.alloc(4 * KiB), 0, 4 * KiB, 0))
const readCold: Try = ({ file }) => answerOf(() => file.read(Buffer.alloc(4 * KiB), 0, 4 * KiB, 2 * MiB))
const stat: Try = ({ target }) => answerOf(() => statSync(target))
const list: Try = async ({ where }) => readdirSync(where.mountpoint).join(' ') || 'nothing'
const openAnew: Try = ({ target }) => answerOf(async () => (await open(target)).close())
const close: Try = ({ file }) => answerOf(() => file.close())
const mapCold: Try = async ({ calls, target }) => {
  const [, answer = ''] = (await run(calls, '--map', target, String(3 * MiB))).toString().trim().split('\t')
  return answer
}

const situations: readonly Situation[] = [
  {
    what: 'the image was replaced upstream',
    happens: async ({ source, target }) => {
      writeFileSync(`${source}.new`, Buffer.alloc(5 * MiB, 'n'))
      renameSync(`${source}.new`, source)
      await until(() => statSync(target).size === 5 * MiB, patienceMs, 'the new version')
    },
    rows: [
      ['read of held blocks, old descriptor', 'ok', 'the old version', readHeld],
      [
        'read of other blocks, old descriptor',
        'ESTALE',
        'SIGBUS in a mapping: that version exists nowhere any more',
        readCold,
      ],
      ['open', 'ok', 'the new version, after `revalidate` (1 m) at the latest', openAnew],
    ],
  },
  {
    what: 'the image was removed upstream',
    happens: async ({ source, target }) => {
      rmSync(source)
      await until(async () => !statSync(target, { throwIfNoEntry: false }), patienceMs, 'the name to go')
    },
    rows: [
      ['read of held blocks, old descriptor', 'ok', '', readHeld],
      ['read of other blocks, old descriptor', 'ESTALE', '', readCold],
      ['open', 'ENOENT', '', openAnew],
      ['readdir', 'nothing', 'it was the only image', list],
    ],
  },
  {
    what: 'the origin is away',
    happens: ({ server }) => server.close(),
    rows: [
      ['read of held blocks', 'ok', 'at once', readHeld],
      [
        'read of other blocks',
        'EIO',
        'after `missTimeout` (30 s); with `onOutage: wait` it waits until the origin is back',
        readCold,
      ],
      ['a page of a mapping, not held', 'SIGBUS', 'after the same time', mapCold],
      ['stat', 'ok', 'from the index', stat],
      ['readdir', 'a.raw', 'from the index', list],
      ['open', 'ok', 'from the index', openAnew],
    ],
  },
  {
    what: 'the worker process died',
    happens: async ({ where }) => void process.kill((await statusOf(where)).pid, 'SIGKILL'),
    rows: [
      ['read, old descriptor', 'ok', 'as soon as the next worker serves', readHeld],
      ['read of cached pages, old descriptor', 'ok', 'at once', readPaged],
      ['stat', 'ok', '', stat],
      ['open', 'ok', '', openAnew],
      ['close', 'ok', '', close],
    ],
  },
  {
    what: 'the supervisor died',
    happens: async ({ where, daemon }) => {
      const { pid } = await statusOf(where)
      process.kill(daemon.supervisorPid, 'SIGKILL')
      await daemon.exited
      await until(() => isGone(where, pid), patienceMs, 'the end of the worker')
    },
    rows: [
      ['read, old descriptor', 'ENOTCONN', '', readHeld],
      ['read of cached pages, old descriptor', 'ok', '', readPaged],
      ['stat', 'ENOENT', 'the mount is gone: the empty directory below it shows', stat],
      ['close', 'ok', '', close],
    ],
  },
  {
    what: 'an operator unmounted with --force',
    happens: async ({ where }) => void (await parentfs('unmount', '--force', where.mountpoint)),
    rows: [
      ['read, old descriptor', 'ENOTCONN', '', readHeld],
      ['open', 'ENOENT', '', openAnew],
      ['close', 'ok', '', close],
    ],
  },
]

/** "ok", or the errno's name. */
async function answerOf(call: () => unknown): Promise<string> {
  try {
    await call()
    return 'ok'
  } catch (error) {
    // Node.js has no names for some, ESTALE among them.
    const { errno = 0 } = error as NodeJS.ErrnoException
    return Object.entries(errnos).find(([, number]) => number === -errno)?.[0] ?? String(error)
  }
}

/** Program that makes the calls, compiled once. */
let compiled: Promise<string> | undefined

async function compileCalls(): Promise<string> {
  // In a directory of its own: this file is run reading ahead, too, perhaps at the same time.
  const program = join(place(t).top, 'system-calls')
  await run('g++', '-std=c++20', '-Wall', '-Wextra', '-Werror', '-o', program, 'test/fixtures/system-calls.cc')
  return program
}

/** A line of a table in docs/SEMANTICS.md. */
function lineOf([call, answer, note]: Row): string {
  return `| \`${call.replaceAll('|', '\\|')}\` | ${answer} | ${note} |`
}

t.test('docs/SEMANTICS.md has the lines that are tried here, in their order, and no others', async t => {
  const expected = [
    ...Object.entries(systemCalls).flatMap(([title, rows]) => [`### ${title}`, ...rows.map(lineOf)]),
    ...situations.flatMap(({ what, rows }) => [
      `### When ${what}`,
      ...rows.map(([call, answer, note]) => `| ${call} | ${answer} | ${note} |`),
    ]),
  ]
  const [text = ''] = readFileSync('docs/SEMANTICS.md', 'utf8').split('\n## What else can fail\n')
  const written = text.split('\n').filter(line => /^(\| |### )/.test(line) && !/^\| (call|\|?---)/.test(line))
  t.same(written, expected)
})

t.test('each system call answers what docs/SEMANTICS.md says', options, async t => {
  // Of its own: the kernel may read a complete image by itself, and reading ahead it is complete at any time.
  const { calls, outside, where } = await systemCallsOn(t, '--no-passthrough')
  for (const pass of ['cold', 'warm']) {
    const answers = (await run(calls, where.mountpoint, outside)).toString().trim().split('\n')
    t.same(answers, promisedAnswers(), pass)
  }
})

t.test(
  'each answers the same when the kernel reads the image by itself, but for the alignment of O_DIRECT',
  options,
  async t => {
    const { calls, outside, where } = await systemCallsOn(t)
    await makeComplete(where, 'a.raw')
    await openPassed(t, where, 'a.raw')
    const { opens } = (await statusOf(where)).passthrough
    const answers = (await run(calls, where.mountpoint, outside)).toString().trim().split('\n')
    const ofTheDisk = `${oddDirectRead}\tEINVAL`
    t.ok(
      answers.includes(ofTheDisk) || answers.includes(`${oddDirectRead}\t77`),
      'as the file system of the cache answers',
    )
    t.same(
      answers.filter(line => !line.startsWith(oddDirectRead)),
      promisedAnswers().filter(line => !line.startsWith(oddDirectRead)),
    )
    t.ok((await statusOf(where)).passthrough.opens > opens, 'its opens were such')
  },
)

/** The one call with the answer of the cache's file system: many ask for an alignment. */
const oddDirectRead = 'O_DIRECT: pread(77) at 3, odd memory'

/** A mount of the image that the calls are made on. */
async function systemCallsOn(t: Test, ...more: string[]) {
  const calls = await (compiled ??= compileCalls())
  const where = place(t)
  const outside = join(where.top, 'outside')
  mkdirSync(outside)
  const source = join(where.originDirectory, 'a.raw')
  writeFileSync(source, Buffer.alloc(256 * KiB, 'a'))
  truncateSync(source, 512 * KiB)
  writeFileSync(source, Buffer.alloc(512 * KiB + 100, 'b'), { flag: 'a' })
  await mountDaemon(t, where, ...more)
  return { calls, outside, where }
}

/** Lines as the calls print them. */
function promisedAnswers(): string[] {
  return Object.values(systemCalls).flatMap(rows => rows.map(([call, answer]) => `${call}\t${answer}`))
}

t.test('each situation gives what docs/SEMANTICS.md says', options, async t => {
  const calls = await (compiled ??= compileCalls())
  for (const { what, happens, rows } of situations) {
    const scene = await sceneOf(t, calls)
    await happens(scene)
    for (const [call, answer, , attempt] of rows) t.equal(await attempt(scene), answer, `${what}: ${call}`)
    await Promise.all([scene.file.close(), scene.buffered.close()])
  }
})

async function sceneOf(t: Test, calls: string): Promise<Scene> {
  const local = place(t)
  const source = join(local.originDirectory, 'a.raw')
  writeFileSync(source, Buffer.alloc(4 * MiB, 'o'))
  const server = await spawnHttpOrigin({ directory: local.originDirectory })
  t.teardown(() => server.close())
  const where = { ...local, origin: server.url }
  const daemon = await mountDaemon(t, where, '--revalidate', '0s', '-o', `miss_seconds=${missSeconds}`)
  const target = join(where.mountpoint, 'a.raw')
  const file = await open(target, constants.O_DIRECT)
  const buffered = await open(target)
  t.teardown(() => Promise.allSettled([file.close(), buffered.close()]))
  // While the origin answers: what it lists is in the index from then on.
  readdirSync(where.mountpoint)
  await file.read(Buffer.alloc(4 * KiB), 0, 4 * KiB, 0)
  const isHeld = async () => (await statusOf(where)).images[0]!.residentBytes > 0
  await until(isHeld, patienceMs, 'the promotion')
  await buffered.read(Buffer.alloc(4 * KiB), 0, 4 * KiB, 0)
  return { where, daemon, server, source, target, file, buffered, calls }
}
