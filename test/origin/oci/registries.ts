/**
 * Real registries as origins: open, with a login, with tokens, and with blobs behind redirects.
 */
import { readFileSync } from 'node:fs'
import { originContract } from '../../contract/origin.ts'
import { MirroringOrigin } from '../../fixtures/ceph/mirror.ts'
import { openOci } from '../../fixtures/open-oci.ts'
import { type Layer, noRegistry, type RegistryOptions, RegistryServer } from '../../fixtures/registry-server.ts'

const kinds: readonly RegistryOptions[] = [
  { auth: 'open' },
  { auth: 'htpasswd' },
  { auth: 'token' },
  { auth: 'token', redirectSeconds: 600 },
]

for (const options of kinds) {
  originContract(
    `a registry ${JSON.stringify(options)}`,
    async (directory, t) => {
      const registry = await RegistryServer.start(t, options)
      const layers = new Map<string, Layer & { readonly digest: string }>()
      const repository = 'images/golden'
      const publish = async () => {
        const created = new Date(1_600_000_000_000)
        await registry.push(repository, 'latest', [...layers.values()], created)
      }
      const origin = openOci(`oci://${registry.host}/${repository}:latest`, options.auth !== 'open')
      let last = Promise.resolve()
      const inTurn = (work: () => Promise<void>) => (last = last.then(work))
      return new MirroringOrigin(origin, directory, {
        put: (name, path) =>
          inTurn(async () => {
            const bytes = readFileSync(path)
            layers.set(name, { bytes, title: name, digest: await registry.pushBlob(repository, bytes) })
            await publish()
          }),
        // A registry keeps what no tag names until it is told to: nothing else makes an image go.
        remove: name =>
          inTurn(async () => {
            const { digest } = layers.get(name)!
            layers.delete(name)
            await publish()
            await registry.deleteBlob(repository, digest)
          }),
      })
    },
    { skip: noRegistry, digests: 'given' },
  )
}
