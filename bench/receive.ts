/**
 * Cost of receiving ranges: by the native thread and through undici, in alternating rounds on one machine.
 *
 *   node build/bench/receive.js [--rounds 5] [--mebibytes 512] [--tls]
 *
 * Needs nginx, which serves from the page cache; with --tls openssl too. A round reads one file with 8 streams of 4 MiB
 * ranges each way. Prints the rate and the CPU time of this process, without the server's, and the ratio of each within
 * its round.
 */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Image, identify } from '../src/base/image.ts'
import { loadAddon } from '../src/native/addon.ts'
import { HttpOrigin } from '../src/origin/http/http-origin.ts'
import { makeCertificate } from '../test/fixtures/certificate.ts'
import { startNginx } from '../test/fixtures/nginx.ts'
import { spread } from './report/ratios.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '512' },
    tls: { type: 'boolean', default: false },
  },
})
const { signal } = new AbortController()
const rangeBytes = 4 * 2 ** 20
const streams = 8

interface Cost {
  readonly secondsPerGiB: number
  readonly mebibytesPerSecond: number
}

const home = mkdtempSync(join(tmpdir(), 'parentfs-receive-'))
const sizeBytes = Number(values.mebibytes) * 2 ** 20
try {
  await main()
} finally {
  rmSync(home, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const file = join(home, 'a.raw')
  writeFileSync(file, '')
  truncateSync(file, sizeBytes)
  const server = await startNginx({
    directory: home,
    listing: 'none',
    ...(values.tls ? { tls: makeCertificate(home, 'IP:127.0.0.1') } : {}),
  })
  const ca = values.tls ? readFileSync(join(home, 'cert.pem'), 'utf8') : null
  const receiver = loadAddon().createReceiver()
  const undici = new HttpOrigin(server.url, { ca })
  const ways = new Map<string, HttpOrigin>([
    ['natively', new HttpOrigin(server.url, { ca, receiver })],
    ['undici', undici],
  ])
  try {
    const image = identify(await undici.lookup('a.raw', { signal }))
    const rounds: Map<string, Cost>[] = []
    for (let round = -1; round < Number(values.rounds); round++) {
      const costs = new Map<string, Cost>()
      const order = round % 2 === 0 ? [...ways] : [...ways].reverse()
      for (const [way, origin] of order) costs.set(way, await readAll(origin, image))
      // The first one warms up.
      if (round >= 0) rounds.push(costs)
    }
    for (const measure of ['secondsPerGiB', 'mebibytesPerSecond'] as const) {
      for (const way of ways.keys()) {
        const own = rounds.map(costs => costs.get(way)![measure])
        const ratios = rounds.map(costs => costs.get(way)![measure] / costs.get('undici')![measure])
        console.log(`${measure}: ${way} ${spread(own)}, of undici's ${spread(ratios)}`)
      }
    }
  } finally {
    await Promise.all([...ways.values()].map(origin => origin.close()))
    receiver.close()
    await server.close()
  }
}

async function readAll(origin: HttpOrigin, image: Image): Promise<Cost> {
  let next = 0
  const [before, startedMs] = [process.cpuUsage(), performance.now()]
  const stream = async () => {
    const target = Buffer.allocUnsafeSlow(rangeBytes)
    for (let at = next; at < sizeBytes; at = next) {
      next += rangeBytes
      await origin.read(image, at, target.subarray(0, Math.min(rangeBytes, sizeBytes - at)), { signal })
    }
  }
  await Promise.all(Array.from({ length: streams }, stream))
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - startedMs) / 1000
  const gibibytes = sizeBytes / 2 ** 30
  return { secondsPerGiB: (user + system) / 1e6 / gibibytes, mebibytesPerSecond: (gibibytes * 1024) / seconds }
}
