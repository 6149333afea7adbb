/** Manifests and indexes: those of OCI and of Docker are read, and what is none is refused. */
import t from 'tap'
import { type Descriptor, manifestOf, type Platform } from '../../../src/origin/oci/manifest.ts'
import { chosenOf, hostPlatform, platformOf, platformText } from '../../../src/origin/oci/platform.ts'

const digest = `sha256:${'0'.repeat(64)}`
const layer = { mediaType: 'Application/Octet-Stream', digest, size: 5, annotations: { a: 'b', c: 1 } }

t.test('a manifest has layers and a time, an index has entries', async t => {
  const annotations = { 'org.opencontainers.image.created': '2026-11-01T00:00:00Z' }
  t.same(manifestOf(JSON.stringify({ schemaVersion: 2, layers: [layer], annotations })), {
    kind: 'manifest',
    createdMs: Date.UTC(2026, 10, 1),
    layers: [{ mediaType: 'application/octet-stream', digest, sizeBytes: 5, annotations: { a: 'b' }, platform: null }],
  })
  t.match(manifestOf('{"schemaVersion":2,"layers":[]}'), { createdMs: 0, layers: [] })
  const platform = { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': 'x' }
  t.match(manifestOf(JSON.stringify({ schemaVersion: 2, manifests: [{ ...layer, platform }, layer] })), {
    kind: 'index',
    manifests: [{ platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }, { platform: null }],
  })
})

t.test('what is no manifest is refused', async t => {
  for (const text of [
    '',
    'null',
    '[]',
    '{"schemaVersion":1,"fsLayers":[]}',
    '{"schemaVersion":2}',
    '{"schemaVersion":2,"layers":{}}',
    '{"schemaVersion":2,"layers":[null]}',
    JSON.stringify({ schemaVersion: 2, layers: [{ ...layer, digest: 'sha256:../../x' }] }),
    JSON.stringify({ schemaVersion: 2, layers: [{ ...layer, size: -1 }] }),
    JSON.stringify({ schemaVersion: 2, layers: [{ ...layer, size: 1e300 }] }),
    JSON.stringify({ schemaVersion: 2, layers: [{ ...layer, size: '5' }] }),
  ]) {
    t.throws(() => manifestOf(text), Error, text)
  }
})

function entry(platform: string | null, disktype?: string): Descriptor {
  const [os = '', architecture = '', variant = null] = platform?.split('/') ?? []
  const annotations: Record<string, string> = disktype === undefined ? {} : { disktype }
  const named = platform === null ? null : { os, architecture, variant }
  return { mediaType: '', digest: `${platform} ${disktype}`, sizeBytes: 1, annotations, platform: named }
}

t.test('the entries of an index are chosen by platform and disk type', async t => {
  const chosen = (entries: readonly Descriptor[], platform: string, diskType: string | null = null) =>
    chosenOf(entries, platformOf(platform) as Platform, diskType).map(({ digest }) => digest)
  const all = [
    entry('linux/x86_64', 'qcow2'),
    entry('linux/x86_64', 'raw'),
    entry('linux/aarch64', 'raw'),
    entry('windows/amd64', 'raw'),
    entry('unknown/unknown'),
    entry(null, 'raw'),
  ]
  t.same(chosen(all, 'linux/amd64'), ['linux/x86_64 qcow2', 'linux/x86_64 raw'])
  t.same(chosen(all, 'linux/amd64', 'raw'), ['linux/x86_64 raw'])
  t.same(chosen(all, 'linux/arm64', 'raw'), ['linux/aarch64 raw'])
  t.same(chosen(all, 'linux/riscv64'), ['null raw'], 'an entry for every machine')
  t.same(chosen(all, 'linux/arm64', 'qcow2'), [])
  const arms = [entry('linux/arm/v6'), entry('linux/arm/v7')]
  t.same(chosen(arms, 'linux/arm').length, 2)
  t.same(chosen(arms, 'linux/arm/v7'), ['linux/arm/v7 undefined'])
})

t.test('platforms are written as Go names them', async t => {
  t.equal(platformText(hostPlatform('x64')), 'linux/amd64')
  t.equal(platformText(hostPlatform('arm64')), 'linux/arm64')
  t.equal(platformText(platformOf('linux/aarch64')!), 'linux/arm64')
  t.equal(platformText(platformOf('linux/arm/v7')!), 'linux/arm/v7')
  for (const text of ['', 'linux', 'linux/', 'Linux/amd64', 'linux/a/b/c']) t.equal(platformOf(text), null, text)
})
