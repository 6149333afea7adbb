/**
 * A cluster with a parent full of data, and mounts that serve clients of librbd. Each snapshot is another parent, of
 * which nothing is held.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Status } from '../../src/admin/status.ts'
import { CephTestCluster } from '../../test/fixtures/ceph/cluster.ts'
import { writeSample } from '../../test/fixtures/images.ts'
import { type ClientOptions, type ClientPlace, clientReads, type Seen } from '../../test/fixtures/librbd/clients.ts'
import { until } from '../../test/fixtures/until.ts'
import { parentfs } from '../demo/command.ts'

export const parentBytes = 256 * 2 ** 20

/** Nothing more is fetched or promoted when the cluster was asked for nothing for so long. */
const quietMs = 500
const quietMsMax = 60_000

/** An image of the cluster, and a file with its bytes. */
export interface WorldImage {
  readonly name: string
  readonly raw: string
}

/** A mount that serves librbd. */
export interface LibrbdMount {
  readonly name: string
  readonly mountpoint: string
  readonly socket: string
}

export class LibrbdWorld {
  readonly #cluster: CephTestCluster
  readonly #home: string
  /** Full of data. */
  readonly golden: WorldImage
  readonly #mounts = new Map<string, LibrbdMount>()

  private constructor(cluster: CephTestCluster, home: string) {
    this.#cluster = cluster
    this.#home = home
    this.golden = { name: 'golden', raw: join(home, 'golden.raw') }
  }

  /** @param endings what ends it is added, to be called from the last to the first */
  static async start(endings: (() => unknown)[]): Promise<LibrbdWorld> {
    const home = mkdtempSync(join(tmpdir(), 'parentfs-bench-librbd-'))
    endings.push(() => rmSync(home, { recursive: true, force: true }))
    const cluster = await CephTestCluster.start({ teardown: end => void endings.push(end) })
    const world = new LibrbdWorld(cluster, home)
    endings.push(() => world.#unmountAll())
    writeSample(world.golden.raw, { seed: 8, sizeBytes: parentBytes, dataShare: 1 })
    await world.#import(world.golden)
    return world
  }

  /** Another image, whose bytes `write` makes. */
  async image(name: string, write: (path: string) => Promise<void>): Promise<WorldImage> {
    const image = { name, raw: join(this.#home, `${name}.raw`) }
    await write(image.raw)
    await this.#import(image)
    return image
  }

  /** @param name of its cache, which another mount of that name finds again */
  async mount(name: string, capacity: string): Promise<LibrbdMount> {
    const at = (what: string) => join(this.#home, `${what}-${name}`)
    const mount = { name, mountpoint: at('mnt'), socket: at('socket') }
    mkdirSync(mount.mountpoint, { recursive: true })
    const keyring = join(this.#cluster.directory, 'client.admin.keyring')
    await parentfs(
      ...['mount', 'rbd://rbd/', mount.mountpoint, '--cache-dir', at('cache'), '--capacity', capacity],
      ...['--ceph-conf', this.#cluster.configuration, '--keyring', keyring],
      ...['--librbd-socket', mount.socket, '--background'],
    )
    this.#mounts.set(name, mount)
    return mount
  }

  async unmount({ name, mountpoint }: LibrbdMount): Promise<void> {
    this.#mounts.delete(name)
    await parentfs('unmount', mountpoint, '--force')
  }

  /** A parent of which nothing is held. */
  async snapshot(name: string, image = this.golden): Promise<void> {
    await this.#cluster.tool('rbd', 'snap', 'create', '--no-progress', `rbd/${image.name}@${name}`)
  }

  /** @param mount null: librbd alone */
  read(
    mount: LibrbdMount | null,
    snapshot: string,
    options: ClientOptions,
    { name, raw } = this.golden,
  ): Promise<Seen> {
    const place: ClientPlace = {
      ...{ configuration: this.#cluster.configuration, pool: 'rbd', image: name, snapshot, raw },
      socket: mount?.socket ?? '-',
    }
    return clientReads(place, mount ? options : { ...options, asks: 'cluster' })
  }

  /** Asks that are answered "read it yourself" until the parent is known; little is read. */
  async learn(mount: LibrbdMount, snapshot: string, image = this.golden): Promise<void> {
    const ids = () =>
      statusOf(mount).then(({ librbd }) => librbd?.parents.some(each => each.image === `${image.name}@${snapshot}`))
    const isKnown = async () => {
      await this.read(mount, snapshot, { reads: 1, object: 0, fallback: 0 }, image)
      return (await ids()) === true
    }
    await until(isKnown, quietMsMax, 'the parent is known')
  }

  /** Every byte is held. */
  async fill(mount: LibrbdMount, snapshot: string): Promise<void> {
    await this.learn(mount, snapshot)
    await parentfs('promote', join(mount.mountpoint, `golden@${snapshot}`))
    await this.settle(mount)
  }

  /** The OSD reads from its disk again. */
  async dropOsdCache(): Promise<void> {
    await this.#cluster.tool('ceph', 'tell', 'osd.0', 'cache', 'drop')
  }

  /** Bytes that the OSD has sent for reads since it started. */
  async sentBytes(): Promise<number> {
    const dump = (await this.#cluster.ask('osd', 'perf', 'dump')) as { osd: { op_r_out_bytes: number } }
    return dump.osd.op_r_out_bytes
  }

  /** Resolves when a mount fetches and promotes nothing more. @throws Error when that takes too long */
  async settle(mount: LibrbdMount): Promise<void> {
    const endMs = performance.now() + quietMsMax
    for (let before = -1; performance.now() < endMs; ) {
      const [sent, status] = [await this.sentBytes(), await statusOf(mount)]
      if (sent === before && status.promotion.queuedBytes === 0 && status.prefetch.bytes === 0) return
      before = sent
      await pause(quietMs)
    }
    throw new Error('the mount does not come to rest')
  }

  async #import({ name, raw }: WorldImage): Promise<void> {
    await this.#cluster.tool('rbd', 'import', '--no-progress', raw, `rbd/${name}`)
  }

  async #unmountAll(): Promise<void> {
    for (const mount of this.#mounts.values()) await this.unmount(mount).catch(error => console.error(error))
  }
}

async function statusOf({ mountpoint }: LibrbdMount): Promise<Status> {
  return JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
}
