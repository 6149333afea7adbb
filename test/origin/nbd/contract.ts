/** The contract of an origin, kept by real NBD servers. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Digest } from '../../../src/origin/contract/digest.ts'
import { NbdOrigin } from '../../../src/origin/nbd/nbd-origin.ts'
import { originContract } from '../../contract/origin.ts'
import { noNbdkit, startNbdkit } from '../../fixtures/nbd-server.ts'

const calls = { concurrencyMax: 16, callMsMax: 30_000 }

originContract(
  'nbdkit over a directory',
  async (directory, t) => {
    const server = await startNbdkit(t, ['file', `dir=${directory}`])
    return new NbdOrigin(server.url, { ...calls, digests: digestsOf(directory) })
  },
  { skip: noNbdkit, digests: 'given', times: false },
)

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
