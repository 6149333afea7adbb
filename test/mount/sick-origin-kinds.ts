/**
 * Sick origins of the kinds that sick-origin.ts has not: real servers of S3, Swift, Glance, a registry and NBD, in one
 * mount, each with the same faults of its network and its server. No reader ever gets a wrong byte or waits for longer
 * than the settings say, held bytes are read as if nothing were, and misses are right soon after the fault has passed.
 *
 * It prints the figures of the table in docs/RELIABILITY.md. KIND=NBD tries one kind alone.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fetchStatus } from '../../src/admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../../src/admin/socket-path.ts'
import { cannotMount, command, logs, patienceMs, place, startCommand, statusOf } from '../fixtures/daemon.ts'
import type { NetworkFault } from '../fixtures/fault-proxy.ts'
import type { WebFault } from '../fixtures/faulty-web-proxy.ts'
import { noGlance } from '../fixtures/glance-server.ts'
import { type SampleImage, sampleBytes } from '../fixtures/images.ts'
import { MountedFile } from '../fixtures/mounted-file.ts'
import { noNbdkit } from '../fixtures/nbd-server.ts'
import { noRegistry } from '../fixtures/registry-server.ts'
import { imageName, type KindName, kindNames, type SickKind, startSickKinds } from '../fixtures/sick-kinds.ts'
import { noSwift } from '../fixtures/swift-server.ts'
import { until } from '../fixtures/until.ts'
import { startWaitingReader, type WaitedFor } from '../fixtures/waiting-reader.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const blockBytes = 64 * KiB
const image: SampleImage = { seed: 37, sizeBytes: 16 * MiB, dataShare: 1 }
/** NBD tells versions apart by their sizes. */
const replaced: SampleImage = { ...image, seed: 38, sizeBytes: 17 * MiB }
const expected = sampleBytes(image, 0, image.sizeBytes)

/** Longest wait of a miss, and the time that a busy machine may add to it, or the clocks of two processes take from it. */
const [missMs, lateMs, earlyMs] = [2000, 600, 100]
/** A fault that passes while a read waits: less than the pause before an origin that went away is tried again. */
const passingMs = 300
const triesMax = 3
/** Longest time until misses are right after a fault: pauses of an origin that was away for so short are below 2 s. */
const recoveryMsMax = 8_000

interface Row {
  readonly name: string
  /** The result of a read for as long as the fault lasts. */
  readonly lasting: string
  /** Reads wait for its end. */
  readonly mayPass: boolean
  /** Begin it. @returns null where the kind has no such fault */
  readonly begin: (kind: SickKind) => Promise<() => void | Promise<void>> | null
}

const network = (name: string, fault: NetworkFault): Row => ({
  name,
  lasting: 'EIO',
  mayPass: true,
  begin: async ({ network }) => {
    await network.set(fault)
    return () => network.set(null)
  },
})

const web = (name: string, fault: WebFault, lasting: string, nbd: 'EIO' | 'missing' | null = null): Row => ({
  name,
  lasting,
  mayPass: 'status' in fault && fault.status >= 500,
  begin: ({ name, web, fail }) => {
    const isTold = !('ranges' in fault && fault.ranges === 'other-version') || name === 'S3' || name === 'Swift'
    const set =
      web && isTold
        ? (on: boolean) => void (web.fault = on ? fault : null)
        : nbd && ((on: boolean) => fail!(on ? nbd : null))
    if (!set) return null
    set(true)
    return Promise.resolve(() => set(false))
  },
})

const rows: readonly Row[] = [
  network('connections refused', 'refused'),
  network('reset in the middle of a block', 'reset'),
  network('cut in the middle of a block', 'cut'),
  network('connections taken, no byte comes back', 'silent'),
  network('stalls in the middle of a block', 'stalled'),
  network('10 KiB/s', 'slow'),
  web('500; NBD: EIO', { status: 500 }, 'EIO', 'EIO'),
  web('503, Retry-After: 1', { status: 503, retryAfter: '1' }, 'EIO'),
  web('401', { status: 401 }, 'EACCES'),
  web('403', { status: 403 }, 'EACCES'),
  web('fewer bytes than the range has', { ranges: 'short' }, 'EIO'),
  web('a range of another version', { ranges: 'other-version' }, 'ESTALE'),
  web('404; NBD: no such export', { status: 404 }, 'ESTALE', 'missing'),
]

interface Suffered {
  readonly kind: KindName
  readonly row: string
  /** A read under a fault that passes, one under a fault that stays, and the longest read of held bytes meanwhile. */
  readonly short: WaitedFor
  readonly lasting: WaitedFor
  readonly heldMs: number
  /** From the end of the fault until a miss is right. */
  readonly recoveryMs: number
}

const skip = cannotMount || noSwift || noGlance || noRegistry || noNbdkit

t.test(
  'each kind of origin under each fault: right bytes or an honest error, in time, and well again',
  { skip },
  async t => {
    const where = place(t)
    const wanted = kindNames.filter(name => (process.env.KIND ?? name) === name)
    const kinds = await startSickKinds(t, where.top, expected, wanted)
    const file = join(where.top, 'parentfs.yaml')
    const common = `missTimeout: ${missMs}ms, revalidate: 0s`
    writeFileSync(
      file,
      `mountpoint: ${where.mountpoint}
cache: { directory: ${where.cacheDirectory}, capacity: 200MiB, readAhead: 0 }
origins:
${kinds.map(({ name, settings }) => `  ${name}: { ${settings}, ${common} }`).join('\n')}
`,
    )
    const daemon = startCommand(t, [...command, 'mount', '--config', file])
    await logs(daemon, /"msg":"mounted"/)
    const read = startWaitingReader(t)
    const world = { where, read }
    const suffered: Suffered[] = []
    const ends = await Promise.allSettled(kinds.map(kind => sufferAll(t, world, kind, suffered)))
    for (const end of ends) if (end.status === 'rejected') t.error(end.reason)
    for (const line of tableOf(suffered)) t.comment(line)
    t.equal((await statusOf(where)).takeovers.count, 0, 'no worker has died')
    t.notMatch(daemon.log(), /"level":(?:50|60)/, 'no error in the log')
  },
)

interface World {
  readonly where: ReturnType<typeof place>
  readonly read: ReturnType<typeof startWaitingReader>
}

/** All faults of one kind, one after the other, and its replacement. */
async function sufferAll(t: Test, world: World, kind: SickKind, suffered: Suffered[]): Promise<void> {
  const patient = await Patient.open(t, world, kind)
  for (const row of rows) {
    const result = await patient.suffer(t, row)
    if (result) suffered.push(result)
  }
  await patient.replace(t)
}

/** The image of one kind, with its first MiB held. */
class Patient {
  readonly #world: World
  readonly #kind: SickKind
  readonly #path: string
  readonly #held: MountedFile
  #fresh = MiB

  private constructor(world: World, kind: SickKind, path: string, held: MountedFile) {
    this.#world = world
    this.#kind = kind
    this.#path = path
    this.#held = held
  }

  static async open(t: Test, world: World, kind: SickKind): Promise<Patient> {
    const directory = join(world.where.mountpoint, kind.name)
    // Servers that have just started may be slower than a miss may take.
    let held: MountedFile | null = null
    const isOpen = async () => {
      held = await MountedFile.open(t, directory, imageName).catch(() => null)
      return held !== null && (await held.read({ offset: 0, length: MiB }).catch(() => null)) !== null
    }
    await until(isOpen, patienceMs, `${kind.name}: opened`)
    const isHeld = async () =>
      (await statusOf(world.where)).images.some(
        each => each.name === `${kind.name}/${imageName}` && each.residentBytes === MiB,
      )
    await until(isHeld, patienceMs, 'the promotion')
    return new Patient(world, kind, join(directory, imageName), held!)
  }

  /** One fault that passes, and one that stays; null: this kind has no such fault. */
  async suffer(t: Test, row: Row): Promise<Suffered | null> {
    const { name } = this.#kind
    const says = (what: string) => `${name}: ${row.name}: ${what}`
    const { lasting, mayPass } = row
    const short = await this.#passing(row)
    if (!short) return null
    t.equal(short.what, mayPass ? 'right' : lasting, says(`for a moment: ${short.what} after ${short.ms} ms`))
    t.ok(short.awakeMs < missMs + lateMs, says(`for a moment: ${short.awakeMs} ms`))
    await this.#recover(says('well in between'))

    const endAgain = await row.begin(this.#kind)
    const offset = this.#fresh
    const [stayed, heldMs] = await this.#besideHeld(t, says, this.#readFresh())
    t.equal(stayed.what, lasting, says(`${stayed.what} after ${stayed.ms} ms`))
    t.ok(stayed.awakeMs < missMs + lateMs, says(`${stayed.awakeMs} ms`))
    if (mayPass) t.ok(stayed.ms > missMs - earlyMs, says('tried for as long as it may'))
    await endAgain!()
    const recoveryMs = await this.#recover(says('well again'), offset)
    return { kind: name, row: row.name, short, lasting: stayed, heldMs, recoveryMs }
  }

  /**
   * A read under a fault that passes while it waits. Not the first one where that failed: on a busy machine a server
   * may need the rest of its time.
   */
  async #passing(row: Row): Promise<WaitedFor | null> {
    for (let tries = 1; ; tries++) {
      const end = await row.begin(this.#kind)
      if (!end) return null
      const waiting = this.#readFresh()
      await new Promise(resolve => setTimeout(resolve, passingMs))
      await end()
      const outcome = await waiting
      if (outcome.what === 'right' || !row.mayPass || tries === triesMax) return outcome
      await this.#recover(`${row.name}: after one that failed`)
    }
  }

  /** Another version takes the place of the image: a registry keeps the old one. */
  async replace(t: Test): Promise<void> {
    const { name } = this.#kind
    await this.#kind.replace(sampleBytes(replaced, 0, replaced.sizeBytes))
    const { what, ms } = await this.#readFresh()
    t.equal(what, name === 'registry' ? 'right' : 'ESTALE', `${name}: replaced: ${what} after ${ms} ms`)
    const isNew = async () =>
      (await this.#world.read(this.#path, MiB, sampleBytes(replaced, MiB, blockBytes), true)).what === 'right'
    await until(isNew, recoveryMsMax, `${name}: the new version under its name`)
    await this.#readHeld(t, `${name}: replaced`)
  }

  #readFresh(): Promise<WaitedFor> {
    const offset = this.#fresh
    this.#fresh += blockBytes
    return this.#readAt(offset)
  }

  #readAt(offset: number): Promise<WaitedFor> {
    return this.#world.read(this.#path, offset, expected.subarray(offset, offset + blockBytes))
  }

  async #readHeld(t: Test, name: string): Promise<number> {
    const startMs = performance.now()
    const bytes = await this.#held.read({ offset: 4 * blockBytes, length: blockBytes })
    if (!bytes.equals(expected.subarray(4 * blockBytes, 5 * blockBytes))) t.fail(`${name}: held bytes are right`)
    return performance.now() - startMs
  }

  /** Held bytes, until a read has ended. */
  async #besideHeld(
    t: Test,
    says: (what: string) => string,
    waiting: Promise<WaitedFor>,
  ): Promise<[WaitedFor, number]> {
    let outcome: WaitedFor | null = null
    void waiting.then(found => (outcome = found))
    let [reads, longestMs] = [0, 0]
    for (; outcome === null || reads === 0; reads++) {
      longestMs = Math.max(longestMs, await this.#readHeld(t, says('held')))
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    t.ok(longestMs < missMs, says(`${reads} reads of held bytes, the longest ${Math.round(longestMs)} ms`))
    return [await waiting, Math.round(longestMs)]
  }

  /** Until a miss is right, by the same open file, and the origin counts as well. @returns milliseconds to the first */
  async #recover(what: string, offset = this.#fresh): Promise<number> {
    const startMs = performance.now()
    const isRight = async () => {
      const { what } = await this.#readAt(offset)
      if (what === 'wrong') throw new Error('wrong bytes')
      return what === 'right'
    }
    await until(isRight, recoveryMsMax, what)
    const recoveryMs = Math.round(performance.now() - startMs)
    const isWell = async () => {
      await this.#readFresh()
      const status = await fetchStatus(socketPath(this.#world.where.mountpoint, trustedRuntimeDirectory()))
      return status?.origins.find(({ name }) => name === this.#kind.name)?.state === 'available'
    }
    await until(isWell, recoveryMsMax, `${what}: available`)
    return recoveryMs
  }
}

/** As in docs/RELIABILITY.md, a row for each fault and kind. */
function tableOf(suffered: readonly Suffered[]): string[] {
  const said = ({ what, ms }: WaitedFor) => `${what} after ${(ms / 1000).toFixed(2)} s`
  return rows.flatMap(row =>
    suffered
      .filter(each => each.row === row.name)
      .map(({ kind, short, lasting, heldMs, recoveryMs }) =>
        [row.name, kind, said(short), said(lasting), `held ${heldMs} ms`, `well ${recoveryMs} ms`].join(' | '),
      ),
  )
}
