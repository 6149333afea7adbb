/** The contract of an origin, kept by real NBD servers. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import type { Digest } from '../../../src/origin/contract/digest.ts'
import { NbdOrigin } from '../../../src/origin/nbd/nbd-origin.ts'
import { ForwardingOrigin } from '../../../src/origin/wrappers/forwarding-origin.ts'
import { originContract } from '../../contract/origin.ts'
import { MirroringOrigin } from '../../fixtures/ceph/mirror.ts'
import { makeCertificate, noCertificates } from '../../fixtures/certificate.ts'
import { noNbdkit, startNbdkit } from '../../fixtures/nbd-server.ts'
import { noQemuStorage, startQemuStorage } from '../../fixtures/qemu-storage.ts'

const calls = { concurrencyMax: 16, callMsMax: 30_000 }
const options = { digests: 'given', times: false } as const

/** Ways to nbdkit: words of its command, and of the URL. */
const ways: Record<string, (home: string) => { words: string[]; unix: boolean; query: string }> = {
  'on a port': () => ({ words: [], unix: false, query: '' }),
  'on a socket, without structured replies': () => ({ words: ['--no-sr'], unix: true, query: '' }),
  'in TLS, with certificates': home => {
    const { certificate, key } = makeCertificate(home, 'IP:127.0.0.1')
    for (const [name, path] of [
      ['ca-cert.pem', certificate],
      ['server-cert.pem', certificate],
      ['server-key.pem', key],
    ] as const)
      writeFileSync(join(home, name), readFileSync(path), { mode: 0o600 })
    return { words: ['--tls=require', `--tls-certificates=${home}`], unix: false, query: `tls-certificates=${home}` }
  },
  'in TLS, with a pre-shared key': home => {
    const file = join(home, 'keys.psk')
    writeFileSync(file, 'parents:00112233445566778899aabbccddeeff\n', { mode: 0o600 })
    return { words: ['--tls=require', `--tls-psk=${file}`], unix: true, query: `tls-psk-file=${file}` }
  },
}

for (const [name, way] of Object.entries(ways)) {
  originContract(
    `nbdkit ${name}`,
    async (directory, t) => {
      const home = `${directory}-tls`
      rmSync(home, { recursive: true, force: true })
      mkdirSync(home)
      const { words, unix, query } = way(home)
      const server = await startNbdkit(t, [...words, 'file', `dir=${directory}`], { unix })
      const secure = server.url.replace(/^nbd(.*?:\/\/)/, 'nbds$1')
      const url = query === '' ? server.url : `${secure}${unix ? '&' : '?'}${query}`
      return new NbdOrigin(url, { ...calls, digests: digestsOf(directory), tls: { username: 'parents' } })
    },
    { skip: noNbdkit || noCertificates, ...options },
  )
}

originContract(
  'qemu-storage-daemon',
  async (directory, t: Test) => {
    const server = await startQemuStorage(t)
    const origin = new NbdOrigin(server.url, { ...calls, digests: digestsOf(directory) })
    return new MirroringOrigin(new TrimmedOrigin(origin, directory), directory, server)
  },
  { skip: noQemuStorage, ...options },
)

/** Exports of qemu have whole sectors. This shows them as long as their files. */
class TrimmedOrigin extends ForwardingOrigin {
  readonly #directory: string

  constructor(inner: NbdOrigin, directory: string) {
    super(inner)
    this.#directory = directory
  }

  override async lookup(...[key, options]: Parameters<NbdOrigin['lookup']>) {
    const facts = await this.inner.lookup(key, options)
    return { ...facts, sizeBytes: statSync(join(this.#directory, key)).size }
  }

  override read(...[image, ...rest]: Parameters<NbdOrigin['read']>) {
    return this.inner.read(wholeSectors(image), ...rest)
  }

  override async extentAt(...[image, ...rest]: Parameters<NbdOrigin['extentAt']>) {
    const extent = await this.inner.extentAt(wholeSectors(image), ...rest)
    return extent && { ...extent, end: Math.min(extent.end, image.sizeBytes) }
  }

  override digest(...[image, options]: Parameters<NbdOrigin['digest']>) {
    return this.inner.digest(wholeSectors(image), options)
  }
}

function wholeSectors(image: Image): Image {
  return identify({ ...image, sizeBytes: Math.ceil(image.sizeBytes / 512) * 512 })
}

/** The digests of the files of a directory, as they are when they are asked for. */
function digestsOf(directory: string): Record<string, Digest> {
  const read = (name: string | symbol) => {
    const path = typeof name === 'string' ? join(directory, name) : ''
    if (!existsSync(path)) return undefined
    return { algorithm: 'sha-256', hex: createHash('sha256').update(readFileSync(path)).digest('hex') } as const
  }
  return new Proxy<Record<string, Digest>>(
    {},
    {
      get: (_, name) => read(name),
      getOwnPropertyDescriptor: (_, name) => {
        const value = read(name)
        return value && { value, configurable: true }
      },
    },
  )
}
