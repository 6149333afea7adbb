/** Hosts of the benchmark of groups: a mount in a network namespace, and the processors' time of its processes. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Status } from '../../src/admin/status.ts'
import type { NetworkHost } from '../../test/fixtures/host-network.ts'
import { childrenOf, usageOf } from '../../test/fixtures/process-usage.ts'
import type { Teardown } from '../compare/teardown.ts'
import { unmountLazily } from '../contenders/process.ts'
import { parentfs } from '../demo/command.ts'

const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

export const servingPort = 7447

export interface MountedHost {
  readonly at: NetworkHost
  /** Directory of the images. */
  readonly mountpoint: string
  /** Supervisor and worker. */
  readonly pids: readonly number[]
}

/** Mount an origin on that host, with an empty cache. @param fleet its settings in YAML's flow style; empty: none */
export async function mountHost(
  t: Teardown,
  { home, at, originUrl, fleet }: { home: string; at: NetworkHost; originUrl: string; fleet: string },
): Promise<MountedHost> {
  const directory = await mkdtemp(join(home, `${at.name}-`))
  const [config, mountpoint] = [join(directory, 'parentfs.yaml'), join(directory, 'mnt')]
  await mkdir(mountpoint)
  const cache = `cache: { directory: "${join(directory, 'cache')}", capacity: 4GiB }`
  await writeFile(config, `origin: { url: "${originUrl}" }\n${cache}\n${fleet === '' ? '' : `fleet: ${fleet}\n`}`)
  const [file, ...words] = [...at.within, process.execPath, main]
  await promisify(execFile)(file!, [...words, 'mount', mountpoint, '--config', config, '--background'])
  t.teardown(() => parentfs('unmount', mountpoint).catch(() => unmountLazily(mountpoint)))
  const { pid, supervisorPid } = JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
  return { at, mountpoint, pids: [supervisorPid, pid] }
}

/** Processor seconds of processes and their children so far. */
export function cpuSecondsOf(pids: readonly number[]): number {
  const all = pids.flatMap(pid => [pid, ...childrenOf(pid)])
  return [...new Set(all)].reduce((sum, pid) => sum + usageOf(pid).cpuMs / 1000, 0)
}
