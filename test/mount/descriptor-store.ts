/**
 * A mount that its service manager holds: its supervisor is killed like its workers, and another one goes on with the
 * mount.
 *
 * KILLS=n sets their number; SEED=n another sequence.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Status } from '../../src/admin/status.ts'
import { mountAt, mountsAt } from '../../src/daemon/mount/mount-table.ts'
import { loadAddon } from '../../src/native/addon.ts'
import { CheckingReaders } from '../fixtures/checking-readers.ts'
import {
  cannotMount,
  command,
  isGone,
  isRunning,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
  transport,
} from '../fixtures/daemon.ts'
import { readWithFio, writeVerified } from '../fixtures/fio.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { manyDeathsFile } from '../fixtures/many-deaths.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { type Service, startService } from '../fixtures/service-unit.ts'
import { until } from '../fixtures/until.ts'
import { versionIn } from '../fixtures/version.ts'

const MiB = 1024 ** 2
const kills = Number(process.env.KILLS ?? 3)
const sample = { seed: 83, sizeBytes: 24 * MiB + 777, dataShare: 0.9 }
const bytes = sampleBytes(sample, 0, sample.sizeBytes)
const verifiedBytes = 8 * MiB
const skip = cannotMount || (transport === 'kernel' ? false : 'takeover is of the kernel transport')
const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length

/** As the unit has it. */
const unitStoreMax = Number(
  /^FileDescriptorStoreMax=(\d+)$/m.exec(readFileSync('systemd/parentfs@.service', 'utf8'))?.[1],
)

t.setTimeout(3_600_000)

const ways = ['supervisor', 'worker, supervisor', 'supervisor, worker'] as const
type Way = (typeof ways)[number]

interface Unit {
  readonly where: Place
  readonly file: string
  readonly service: Service
}

/** A mount as a unit would have it, of an origin that takes 5 ms an answer, and a cache that holds half of it. */
async function setUp(t: Test, storeMax = unitStoreMax): Promise<Unit> {
  const local = place(t)
  writeSample(join(local.originDirectory, 'a.raw'), sample)
  await writeVerified(join(local.originDirectory, 'b.raw'), verifiedBytes)
  const origin = await spawnHttpOrigin({ directory: local.originDirectory, delayMs: 5 })
  t.teardown(() => origin.close())
  const where = { ...local, origin: origin.url }
  const file = manyDeathsFile(where, '16MiB')
  const words = [...command, 'mount', '--config', file]
  const service = await startService(t, where, { storeMax, restartMs: 100, command: words })
  return { where, file, service }
}

/**
 * Kill the supervisor, alone or with its worker; resolves when another one serves.
 * @param againMs kill the one that follows as well, so soon after its start; null: let it be
 */
async function killSupervisor({ where, service }: Unit, way: Way, againMs: number | null = null): Promise<void> {
  const { pid: worker, takeovers: before } = await statusOf(where)
  const isHeld = service.held().length > 0
  const killed = [service.supervisorPid()]
  for (const who of way.split(', ')) process.kill(who === 'supervisor' ? killed[0]! : worker, 'SIGKILL')
  const isFollowed = () => service.supervisorPid() !== killed.at(-1)
  await until(isFollowed, patienceMs, 'another supervisor')
  if (againMs !== null) {
    await new Promise(resolve => setTimeout(resolve, againMs))
    killed.push(service.supervisorPid())
    process.kill(killed[1]!, 'SIGKILL')
    await until(isFollowed, patienceMs, 'a third supervisor')
  }
  const serves = () =>
    statusOf(where).then(
      // A daemon that is starting answers before it has mounted. A takeover counts once it is held for the next one.
      ({ state, supervisorPid, takeovers }) =>
        state === 'ready' && supervisorPid === service.supervisorPid() && (!isHeld || takeovers.count > before.count),
      () => false, // No daemon is there to be asked.
    )
  await until(serves, patienceMs, `that it serves: ${service.log().slice(-2000)}`)
  if ([worker, ...killed].some(isRunning)) throw new Error('the processes of before are there still')
}

t.test(
  `${kills} kills of the supervisor under fio and checking readers are not seen (SEED=${seed})`,
  { skip },
  async t => {
    const random = seeded(seed)
    const unit = await setUp(t)
    const { where, service } = unit
    const { mountpoint } = where
    t.match((await statusOf(where)).takeovers, { possible: true, heldByManager: true, count: 0 })
    const mountedBefore = await mountsAt(mountpoint)
    const readers = new CheckingReaders({ mountpoint, images: new Map([['a.raw', [bytes]]]), count: 4, seed })
    let fioOver = false
    const fio = async (direct: boolean) => {
      while (!fioOver) {
        const how = { engine: 'libaio', direct, depth: 32, jobs: 1, seconds: 4 } as const
        const ran = await readWithFio(join(mountpoint, 'b.raw'), verifiedBytes, how)
        if (ran.code !== 0 || ran.error !== 0) t.fail(`fio, direct ${direct}: error ${ran.error}, ${ran.stderr}`)
      }
    }
    const loads = Promise.all([fio(true), fio(false)])
    await readers.haveRead(20, patienceMs)
    const held = descriptors(service.supervisorPid())
    for (let kill = 0; kill < kills; kill++) {
      await readers.haveRead(readers.report().reads + between(random, 1, 60), patienceMs)
      // Half of them twice, the second time at any moment of a supervisor's start.
      await killSupervisor(unit, ways[kill % ways.length]!, kill % 2 ? between(random, 0, 900) : null)
    }
    await readers.haveRead(readers.report().reads + 50, patienceMs)
    fioOver = true
    await loads
    const { reads, failed, wrong, longestMs } = await readers.stop()
    t.same({ failed, wrong }, { failed: 0, wrong: [] }, `${reads} reads`)
    t.comment(`${kills} kills: ${reads} reads, longest ${Math.round(longestMs)} ms`)
    t.equal(service.starts(), 1 + kills + Math.floor(kills / 2))
    t.same(await mountsAt(mountpoint), mountedBefore, 'one and the same mount')
    t.equal(service.held().filter(name => name === 'fuse').length, 1)
    t.equal(service.held().length, 2, service.held().join(' '))
    // Some seconds after a start it copies its program, file by file.
    const holdsTheSame = () => descriptors(service.supervisorPid()) === held
    await until(holdsTheSame, patienceMs, 'the supervisor to hold what the first one held')
    t.ok((await statusOf(where)).takeovers.count >= kills, 'and has not forgotten those before')
    const { pid } = await statusOf(where)
    t.equal(await service.stop(), 0)
    t.same(service.held(), [], 'nothing is held of a mount that has gone')
    t.ok(await isGone(where, pid, service.supervisorPid()))
  },
)

t.test('what was set by hand holds, and a file that was broken meanwhile harms nobody', { skip }, async t => {
  const unit = await setUp(t)
  const { where, file, service } = unit
  const handle = await open(join(where.mountpoint, 'a.raw'), 'r')
  t.match(await parentfs('set', 'capacity', where.mountpoint, '20MiB'), { code: 0 })
  const other = versionIn(where.top, '8.0.1')
  t.match(await parentfs('upgrade', where.mountpoint, '--to', other), { code: 0 })
  writeFileSync(file, 'mountpoint: [\n')
  const { pid } = await statusOf(where)
  process.kill(service.supervisorPid(), 'SIGKILL')
  await until(() => !isRunning(pid), patienceMs, 'the end of the worker')
  const asked = await parentfs('status', where.mountpoint, '--json')
  t.equal(asked.code, 0, asked.stderr)
  t.not((JSON.parse(asked.stdout.toString()) as Status).pid, pid, 'who asks meanwhile waits')
  const { cache, version } = await statusOf(where)
  t.equal(cache.capacityBytes, 20 * MiB)
  t.equal(version, '8.0.1', 'the version that served goes on')
  const read = Buffer.alloc(MiB)
  await handle.read(read, 0, MiB, 5 * MiB)
  t.ok(read.equals(bytes.subarray(5 * MiB, 6 * MiB)), 'what was open before')
  await handle.close()
  t.equal(await service.stop(), 0)
})

t.test('where nothing is held, the next supervisor takes the stale mount away and mounts anew', { skip }, async t => {
  const unit = await setUp(t, 0)
  const { where, service } = unit
  await killSupervisor(unit, 'supervisor')
  t.ok((await readFile(join(where.mountpoint, 'a.raw'))).equals(bytes))
  t.equal((await mountsAt(where.mountpoint)).length, 1)
  t.equal(await service.stop(), 0)
})

t.test('a mount that was taken away while nobody kept it is made anew', { skip }, async t => {
  const unit = await setUp(t)
  const { where, service } = unit
  const [supervisor, worker] = [service.supervisorPid(), (await statusOf(where)).pid]
  process.kill(supervisor, 'SIGSTOP')
  process.kill(worker, 'SIGKILL')
  loadAddon().unmount(where.mountpoint, true)
  t.equal(await mountAt(where.mountpoint), null)
  await until(() => !service.held().includes('fuse'), patienceMs, 'the manager sees that it has gone')
  process.kill(supervisor, 'SIGKILL')
  await until(
    () => service.starts() === 2 && service.told().filter(text => text.startsWith('READY')).length === 2,
    patienceMs,
    'another supervisor',
  )
  t.ok((await readFile(join(where.mountpoint, 'a.raw'))).equals(bytes))
  t.equal(service.held().length, 2, service.held().join(' '))
  t.equal(await service.stop(), 0)
})
