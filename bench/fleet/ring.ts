/**
 * A ring of nginx, as docs/FLEET.md has it: each host asks its own nginx, which cuts ranges into slices and asks the
 * cache of the host that consistent hashing names. A slice is fetched once; whoever else wants it waits (lock).
 */
import type { NetworkHost } from '../../test/fixtures/host-network.ts'
import { type NginxServer, startNginx } from '../../test/fixtures/nginx.ts'

/** Of the caches; each host has an address of its own. */
const cachePort = 8081

export interface RingHost {
  readonly at: NetworkHost
  readonly originUrl: string
  /** Hosts whose caches make the ring. */
  readonly ring: readonly NetworkHost[]
  /** Serves as a directory that it never reads. */
  readonly directory: string
}

/** The nginx of one host: what its parentfs reads, and its part of the ring where it has one. */
export function startRingHost({ at, originUrl, ring, directory }: RingHost): Promise<NginxServer> {
  const servers = ring.map(({ address }) => `server ${address}:${cachePort};`).join(' ')
  const cache = (home: string) => `
  proxy_cache_path ${home}/cache keys_zone=parents:10m max_size=4g inactive=30d;
  upstream ring { hash $uri$slice_range consistent; ${servers} keepalive 64; }
  server {
    listen ${at.address}:${cachePort};
    location / {
      proxy_cache parents;
      proxy_cache_key $uri$is_args$args$http_range;
      proxy_set_header Range $http_range;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache_valid 200 206 30d;
      proxy_cache_lock on;
      proxy_pass ${originUrl};
    }
  }`
  const extra = `
    location / {
      slice 1m;
      proxy_set_header Range $slice_range;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://ring/;
    }`
  return startNginx({ directory, listing: 'none', at, http: cache, extra })
}
