/** The warm-up over real rooms in a directory of the test's own: it reads, is bounded, and leaves nothing. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { configure } from '../../../src/daemon/config/configuration.ts'
import { warmUpCpuMsMax, warmUpRandomReads } from '../../../src/daemon/worker/limits.ts'
import { type WarmUpContext, warmUp } from '../../../src/daemon/worker/warm-up.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const addon = loadAddon()
interface Line {
  readonly fields: { readonly cpuMs?: number; readonly err?: Error }
  readonly message: string
}

function setUp(t: Pick<Test, 'teardown'>, changes: Partial<WarmUpContext> = {}) {
  const home = mkdtempSync(join(tmpdir(), 'parentfs-warm-'))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))
  const lines: Line[] = []
  const asked = { times: 0 }
  const context: WarmUpContext = {
    addon,
    logger: { debug: (fields: object, message: string) => void lines.push({ fields, message }) },
    configure: document => configure({ document, mountpoint: '/mnt' }, { uid: 0, gid: 0, home }),
    directory: () => join(home, 'scratch'),
    isWeb: true,
    isUnwanted: () => {
      asked.times++
      return false
    },
    // A busy machine is slower than the bounds of a worker.
    bounds: { cpuMsMax: patienceMs, msMax: patienceMs },
    ...changes,
  }
  return { home, lines, asked, context }
}

const descriptors = () => readdirSync('/proc/self/fd').length

for (const isWeb of [true, false]) {
  t.test(`a warm-up from a ${isWeb ? 'web server' : 'directory'} leaves one line for debugging`, async t => {
    const { home, lines, asked, context } = setUp(t, { isWeb })
    await warmUp(context) // The first one loads what stays: libraries, and the pool of libuv.
    const [before, listeners] = [descriptors(), process.listenerCount('exit')]
    await warmUp(context)
    t.same(
      lines.map(({ message, fields }) => [message, fields.err]),
      [
        ['warmed up', undefined],
        ['warmed up', undefined],
      ],
    )
    t.ok(asked.times > warmUpRandomReads, 'it has read')
    t.same(readdirSync(home), [], 'no files')
    t.equal(process.listenerCount('exit'), listeners)
    await until(() => descriptors() <= before, patienceMs, 'all descriptors are closed')
  })
}

t.test('what an earlier warm-up has left is removed', async t => {
  const { home, context } = setUp(t)
  mkdirSync(join(home, 'scratch', 'cache'), { recursive: true })
  writeFileSync(join(home, 'scratch', 'cache', 'left'), 'x')
  await warmUp(context)
  t.same(readdirSync(home), [])
})

t.test('a warm-up that is not wanted reads nothing more', async t => {
  let asked = 0
  const { lines, context } = setUp(t, { isUnwanted: () => ++asked >= 3 })
  await warmUp(context)
  // Once for the stream that follows.
  t.equal(asked, 4)
  t.equal(lines[0]?.message, 'warmed up')
})

t.test('a warm-up ends when its processor time is over', async t => {
  const { lines, asked, context } = setUp(t, { bounds: { cpuMsMax: warmUpCpuMsMax, msMax: patienceMs } })
  const { cpuUsage } = process
  let spent = 0
  // Ten reads.
  process.cpuUsage = (() => ({ user: (spent += 30_000), system: 0 })) as unknown as typeof cpuUsage
  t.teardown(() => {
    process.cpuUsage = cpuUsage
  })
  await warmUp(context)
  t.equal(lines[0]?.message, 'warmed up')
  t.ok(asked.times <= 12, `${asked.times} reads`)
})

t.test('a warm-up without a place for its directory is a line for debugging', async t => {
  const { lines, context } = setUp(t, { directory: () => '/proc/nowhere/scratch' })
  await warmUp(context)
  t.equal(lines[0]?.message, 'the warm-up has failed')
  t.match(lines[0]?.fields.err, { code: 'ENOENT' })
})

t.test('a warm-up whose reads are never answered is given up', async t => {
  const pairs: number[] = []
  const deaf = Object.create(addon, {
    // The session listens to another socket.
    socketPair: {
      value: () => {
        const [[ours, left], [other, device]] = [addon.socketPair(), addon.socketPair()]
        pairs.push(left, other)
        return [ours, device]
      },
    },
  })
  t.teardown(() => pairs.forEach(fd => void addon.closeFd(fd)))
  const { home, lines, context } = setUp(t, { addon: deaf, bounds: { cpuMsMax: patienceMs, msMax: 500 } })
  await warmUp(context)
  t.equal(lines[0]?.message, 'the warm-up has failed')
  await until(() => !existsSync(join(home, 'scratch')), patienceMs, 'its directory is removed')
})
