/**
 * Caching proxies on a host of their own, in place of a group: all hosts read them as their origin. They have no
 * slices: Varnish brings a whole image at its first range, Squid passes each range on.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NetworkHost } from '../../test/fixtures/host-network.ts'
import { run } from '../../test/fixtures/run.ts'
import { begin } from '../contenders/process.ts'

export interface CachingProxy {
  readonly url: string
  readonly pid: number
  close(): Promise<void>
}

/** Of the proxies: each has an address of its own. */
const port = 8082

/** Memory of a proxy: all of the image. */
const cacheMebibytes = 4096

/** Varnish 7, with its cache in memory. It refuses answers of single ranges from its origin (503). */
export function startVarnish(at: NetworkHost, originUrl: string): Promise<CachingProxy> {
  const { hostname, port: originPort } = new URL(originUrl)
  const vcl = `vcl 4.1;
backend origin { .host = "${hostname}"; .port = "${originPort}"; }
sub vcl_backend_response { set beresp.ttl = 30d; }
`
  return startProxy(at, async home => {
    const path = join(home, 'parents.vcl')
    await writeFile(path, vcl)
    const where = ['-n', join(home, 'varnish'), '-a', `${at.address}:${port}`]
    return ['varnishd', '-F', '-j', 'none', ...where, '-f', path, '-s', `malloc,${cacheMebibytes}m`]
  })
}

/** Squid 5 before the origin, in one process, with its cache in memory. */
export async function startSquid(at: NetworkHost, originUrl: string): Promise<CachingProxy> {
  const { hostname, port: originPort } = new URL(originUrl)
  const service = `pfs${process.pid}`
  const proxy = startProxy(at, async home => {
    const path = join(home, 'squid.conf')
    const lines = [
      `http_port ${at.address}:${port} accel defaultsite=${hostname} no-vhost`,
      `cache_peer ${hostname} parent ${originPort} 0 no-query originserver`,
      'http_access allow all',
      // Ranges are passed on, and none is kept: with `range_offset_limit none` those of 3 GB further on come too late.
      'collapsed_forwarding on',
      'refresh_pattern . 43200 100% 43200',
      `cache_mem ${cacheMebibytes} MB`,
      `maximum_object_size_in_memory ${cacheMebibytes} MB`,
      `maximum_object_size ${cacheMebibytes} MB`,
      'shutdown_lifetime 1 second',
      // It gives up root, and can write nowhere here.
      ...['access_log none', 'cache_log /dev/null', 'pid_filename none', 'memory_cache_shared off'],
    ]
    await writeFile(path, `${lines.join('\n')}\n`)
    return ['squid', '-N', '-n', service, '-f', path]
  })
  const { close } = await proxy
  // It leaves its shared memory, and does not start beside it.
  const left = ['metadata', 'queues', 'readers'].map(part => `/dev/shm/${service}-cf__${part}.shm`)
  return {
    ...(await proxy),
    close: () => close().finally(() => Promise.all(left.map(path => rm(path, { force: true })))),
  }
}

/** @param prepare its files in `home`. @returns the command */
async function startProxy(at: NetworkHost, prepare: (home: string) => Promise<string[]>): Promise<CachingProxy> {
  const home = await mkdtemp(join(tmpdir(), 'parentfs-proxy-'))
  const [file, ...words] = [...at.within, ...(await prepare(home))]
  const child = begin(file!, words)
  const close = async () => {
    await child.signal('SIGTERM')
    await rm(home, { recursive: true, force: true })
  }
  const [probe, ...probeWords] = [...at.within, 'bash', '-c', `: < /dev/tcp/${at.address}/${port}`]
  try {
    await child.ready(() => run(probe!, ...probeWords).then(() => true))
  } catch (error) {
    await close()
    throw error
  }
  return { url: `http://${at.address}:${port}/`, pid: child.pids[0]!, close }
}
