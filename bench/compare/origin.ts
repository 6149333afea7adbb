/** Origin of a scene: nginx where the origin's own time counts, else the test's web server in a process of its own. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { spawnHttpOrigin } from '../../test/fixtures/http-origin.ts'
import { startNginx } from '../../test/fixtures/nginx.ts'
import { bucketName } from '../contenders/contender.ts'
import type { TracedRead } from '../replay/trace.ts'
import type { Scene } from './samples.ts'

export interface SceneOrigin {
  /** Ends in a slash. */
  readonly url: string
  /** Bytes of bodies since its start. */
  sentBytes(): Promise<number>
  close(): Promise<void>
}

/** An empty listing, as s3fs asks for one at its start. Source: Amazon S3 API Reference, ListObjects. */
const emptyBucket =
  `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
  `<Name>${bucketName}</Name><Prefix/><Marker/><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>`

/** True where the origin's own time counts, which is least in nginx. Elsewhere some contenders hang with it. */
export function isNear({ life, delayMs }: Scene): boolean {
  return life === 'misses' && delayMs === 0
}

/** @param directory its files are served flat, and as the objects of a bucket too */
export async function startOrigin(directory: string, scene: Scene): Promise<SceneOrigin> {
  if (isNear(scene)) return startNear(directory)
  const { delayMs, bytesPerSecond } = scene
  const cap = bytesPerSecond === null ? {} : { bytesPerSecond }
  const server = await spawnHttpOrigin({ directory, listing: 'html', bucket: bucketName, delayMs, ...cap })
  return { url: server.url, sentBytes: async () => (await server.counters()).bytes, close: () => server.close() }
}

/** nginx answers in tens of microseconds. Its log has the bytes of each body. */
async function startNear(directory: string): Promise<SceneOrigin> {
  const home = await mkdtemp(join(tmpdir(), 'parentfs-compare-log-'))
  const log = join(home, 'log')
  const server = await startNginx({
    directory,
    listing: 'html',
    extra: `access_log ${log} combined;
    location = /${bucketName}/ { default_type application/xml; return 200 '${emptyBucket}'; }
    location /${bucketName}/ { alias ${directory}/; }`,
  })
  return {
    url: server.url,
    // Source: nginx, ngx_http_log_module: the predefined format "combined" has $body_bytes_sent after the status.
    sentBytes: async () => {
      const bodies = (await readFile(log, 'utf8')).matchAll(/" \d+ (\d+) "/g)
      return [...bodies].reduce((sum, [, bytes]) => sum + Number(bytes), 0)
    },
    close: async () => {
      await server.close()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** Time of one range request on an open connection, by curl. @returns the mean over `reads`, in milliseconds */
export async function roundTripMs(url: string, reads: readonly TracedRead[]): Promise<number> {
  // The first request connects, and does not count.
  const requests = [reads[0]!, ...reads].map(({ offset, length }) => {
    const range = `range = "${offset}-${offset + length - 1}"`
    return `url = "${url}"\n${range}\noutput = "/dev/null"\nwrite-out = "%{time_total} "\nsilent\n`
  })
  const curl = promisify(execFile)('curl', ['--config', '-'])
  curl.child.stdin!.end(requests.join('next\n'))
  const seconds = (await curl).stdout.trim().split(' ').map(Number)
  return (1000 * seconds.slice(1).reduce((sum, each) => sum + each, 0)) / reads.length
}
