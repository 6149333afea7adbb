/**
 * A cluster with one image, and a mount that shows it. Each snapshot is an image of its own to the mount, which holds
 * nothing of it: cold reads read a new one.
 */
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Status } from '../../src/admin/status.ts'
import { CephTestCluster } from '../../test/fixtures/ceph/cluster.ts'
import { randomFrom } from '../../test/fixtures/images.ts'
import { parentfs } from '../demo/command.ts'

/** The image: objects full of data, and behind them others that begin with data, every other one of them missing. */
export const dataBytes = 256 * 2 ** 20
const imageBytes = 2 ** 31
const objectBytes = 4 * 2 ** 20
const beginningBytes = 2 ** 20
const fullObjects = dataBytes / objectBytes

/** Nothing more is fetched or promoted when the cluster was asked for nothing for so long. */
const quietMs = 500
const quietMsMax = 60_000

export class CephWorld {
  readonly #cluster: CephTestCluster
  readonly #home: string
  readonly #mounts = new Set<string>()

  private constructor(cluster: CephTestCluster, home: string) {
    this.#cluster = cluster
    this.#home = home
  }

  /** @param endings what ends it is added, to be called from the last to the first */
  static async start(endings: (() => unknown)[]): Promise<CephWorld> {
    const home = mkdtempSync(join(tmpdir(), 'parentfs-bench-ceph-'))
    endings.push(() => rmSync(home, { recursive: true, force: true }))
    const cluster = await CephTestCluster.start({ teardown: end => void endings.push(end) })
    const world = new CephWorld(cluster, home)
    endings.push(() => world.#unmountAll())
    const raw = join(home, 'golden.raw')
    writeImage(raw)
    await cluster.tool('rbd', 'import', '--no-progress', raw, 'rbd/golden')
    rmSync(raw)
    return world
  }

  /** A mount with an empty cache. @returns its mountpoint */
  async mount(name: string): Promise<string> {
    const [mountpoint, cache] = [join(this.#home, name), join(this.#home, `cache-${name}`)]
    mkdirSync(mountpoint)
    const keyring = join(this.#cluster.directory, 'client.admin.keyring')
    await parentfs(
      ...['mount', 'rbd://rbd/', mountpoint, '--cache-dir', cache, '--capacity', '4GiB'],
      ...['--ceph-conf', this.#cluster.configuration, '--keyring', keyring],
      // The daemon's answers are measured, not the disk's.
      ...['--no-passthrough', '--background'],
    )
    this.#mounts.add(mountpoint)
    return mountpoint
  }

  async unmount(mountpoint: string): Promise<void> {
    this.#mounts.delete(mountpoint)
    await parentfs('unmount', mountpoint, '--force')
  }

  /** A version that has never been read. */
  async snapshot(name: string): Promise<void> {
    await this.#cluster.tool('rbd', 'snap', 'create', '--no-progress', `rbd/golden@${name}`)
  }

  /** Arguments with which ceph-reader reads it through librbd. */
  librbd(snapshot: string): string[] {
    return ['librbd', this.#cluster.configuration, 'rbd', 'golden', snapshot]
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
  async settle(mountpoint: string): Promise<void> {
    const endMs = performance.now() + quietMsMax
    for (let before = -1; performance.now() < endMs; ) {
      const [sent, status] = [await this.sentBytes(), await statusOf(mountpoint)]
      if (sent === before && status.promotion.queuedBytes === 0 && status.prefetch.bytes === 0) return
      before = sent
      await pause(quietMs)
    }
    throw new Error('the mount does not come to rest')
  }

  async #unmountAll(): Promise<void> {
    for (const mountpoint of this.#mounts) await this.unmount(mountpoint).catch(error => console.error(error))
  }
}

async function statusOf(mountpoint: string): Promise<Status> {
  return JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
}

/** Offsets of data in the image, at random. */
export function randomOffsets(seed: number, count: number): number[] {
  const random = randomFrom(seed)
  return Array.from({ length: count }, () => {
    const object = Math.floor((random() * imageBytes) / objectBytes)
    const existing = isThere(object) ? object : object - 1
    return existing * objectBytes + Math.floor((random() * beginningBytes) / 4096) * 4096
  })
}

function writeImage(path: string): void {
  const random = randomFrom(8)
  const chunk = new Uint32Array(2 ** 18)
  const fd = openSync(path, 'wx')
  ftruncateSync(fd, imageBytes)
  for (let at = 0; at < imageBytes; at += chunk.byteLength) {
    const object = Math.floor(at / objectBytes)
    if (object >= fullObjects && (!isThere(object) || at % objectBytes >= beginningBytes)) continue
    for (let k = 0; k < chunk.length; k++) chunk[k] = random() * 2 ** 32
    writeSync(fd, chunk, 0, chunk.byteLength, at)
  }
  closeSync(fd)
}

function isThere(object: number): boolean {
  return object < fullObjects || object % 2 === 0
}
