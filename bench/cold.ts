/**
 * `node build/bench/cold.js [--rounds 5] [--gibibytes 1] [--links 2,10,10:tls]`: sequential cold reads over a link.
 *
 * A new mount reads over a link of a known rate, beside 8 parallel downloads of curl over the same link, in alternating
 * rounds. A ratio is taken within a round. Needs root, nginx, curl, iproute2 and openssl. The server is in a network
 * namespace of its own, on the same processors.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { makeCertificate } from '../test/fixtures/certificate.ts'
import { writeSample } from '../test/fixtures/images.ts'
import { startNginx } from '../test/fixtures/nginx.ts'
import { startParentfs } from './contenders/parentfs.ts'
import { type Link, openLink } from './link/link.ts'
import { describeMachine } from './report/machine.ts'
import { spread } from './report/ratios.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    gibibytes: { type: 'string', default: '1' },
    links: { type: 'string', default: '2,10,10:tls' },
  },
})
const rounds = Number(values.rounds)
const streams = 8
const home = await mkdtemp(join(tmpdir(), 'parentfs-cold-'))
const imageBytes = Number(values.gibibytes) * 2 ** 30
const image = { name: 'image.raw', path: join(home, 'images', 'image.raw') }
try {
  await main()
} finally {
  await rm(home, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const { processors, processor, kernel, load } = await describeMachine('')
  console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}; ${rounds} rounds\n`)
  await mkdir(join(home, 'images'))
  writeSample(image.path, { seed: 11, sizeBytes: imageBytes, dataShare: 1 })
  const link = openLink()
  try {
    for (const each of values.links.split(',')) await sequential(link, each)
  } finally {
    link.close()
  }
}

async function sequential(link: Link, named: string): Promise<void> {
  const [gigabits, scheme] = named.split(':')
  link.limit(Number(gigabits))
  const tls = scheme === 'tls' ? makeCertificate(home, `IP:${link.address}`) : null
  const server = await startNginx({
    ...{ directory: join(home, 'images'), listing: 'json', at: link },
    ...(tls ? { tls } : {}),
  })
  const [rates, ratios] = [new Map<string, number[]>(), new Map<string, number[]>()]
  const note = (map: Map<string, number[]>, name: string, value: number) =>
    map.set(name, [...(map.get(name) ?? []), value])
  try {
    for (let round = 0; round < rounds; round++) {
      const plain = await download(server.url, tls?.certificate)
      note(rates, 'curl', plain)
      for (const direct of [true, false]) {
        const name = direct ? 'parentfs, direct' : 'parentfs, buffered'
        const rate = await readThrough(server.url, tls?.certificate, direct)
        note(rates, name, rate)
        note(ratios, name, rate / plain)
      }
    }
  } finally {
    await server.close()
  }
  console.log(`sequential, ${gigabits} Gbit/s${tls ? ', TLS' : ''}: curl ${spread(rates.get('curl')!)} MiB/s`)
  for (const [name, all] of ratios) console.log(`    ${name}: ${spread(rates.get(name)!)} MiB/s, ratio ${spread(all)}`)
}

/** In as many parts at once as there are streams. @returns MiB/s */
async function download(url: string, ca?: string): Promise<number> {
  const part = imageBytes / streams
  const startedMs = performance.now()
  await Promise.all(
    Array.from({ length: streams }, (_, k) => {
      const range = `${k * part}-${(k + 1) * part - 1}`
      const args = ['-sSf', '-o', '/dev/null', '-r', range, ...(ca ? ['--cacert', ca] : []), url + image.name]
      return promisify(execFile)('curl', args)
    }),
  )
  return perSecond(startedMs)
}

/** By dd, a MiB at a time, from an empty cache. @returns MiB/s */
async function readThrough(url: string, ca: string | undefined, direct: boolean): Promise<number> {
  return await mounted(url, ca, async path => {
    const startedMs = performance.now()
    await promisify(execFile)('dd', [
      `if=${path}`,
      'of=/dev/null',
      'bs=1M',
      'status=none',
      ...(direct ? ['iflag=direct'] : []),
    ])
    return perSecond(startedMs)
  })
}

async function mounted<T>(url: string, ca: string | undefined, work: (path: string) => Promise<T>): Promise<T> {
  const directory = join(home, 'cold')
  await mkdir(directory)
  const options: string[] = []
  if (ca) {
    const config = join(directory, 'parentfs.yaml')
    await writeFile(
      config,
      `origin: { url: "${url}", ca: "${ca}" }\ncache: { directory: "${join(directory, 'cache')}", capacity: 4GiB }\n`,
    )
    options.push('--config', config)
  }
  const place = { directory, originUrl: url, imageName: image.name, imagePath: image.path }
  const running = await startParentfs(place, options)
  try {
    return await work(running.path)
  } finally {
    await running.stop()
    await rm(directory, { recursive: true })
  }
}

function perSecond(startedMs: number): number {
  return imageBytes / 2 ** 20 / ((performance.now() - startedMs) / 1000)
}
