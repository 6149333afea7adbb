/**
 * The OCI image: podman runs it as the DaemonSet of packaging/kubernetes/ does, it mounts into the host, and a reader
 * outside of the container has the right bytes. A stopped container leaves no mount.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { cannotMount } from '../fixtures/daemon.ts'
import { makeDebianPackage } from '../fixtures/debian-package.ts'
import { debianTar } from '../fixtures/debian-root.ts'
import { writeSample } from '../fixtures/images.ts'
import { attempt, start } from '../fixtures/run.ts'

interface VolumeMount {
  readonly name: string
  readonly mountPath: string
  readonly mountPropagation?: string
  readonly readOnly?: boolean
}

interface Container {
  readonly image: string
  readonly args: readonly string[]
  readonly securityContext: { readonly privileged: boolean }
  readonly volumeMounts: readonly VolumeMount[]
}

const where = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
t.teardown(() => rmSync(where, { recursive: true, force: true }))
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
const runMsMax = 200_000

/** The container and the configuration of the example. */
function example(): { container: Container; configuration: string } {
  const documents = parseAllDocuments(readFileSync('packaging/kubernetes/daemonset.yaml', 'utf8'))
  const [map, set] = documents.map(document => document.toJS() as Record<string, never>)
  const { containers } = (set as unknown as { spec: { template: { spec: { containers: Container[] } } } }).spec.template
    .spec
  const { data } = map as unknown as { data: Record<string, string> }
  return { container: containers[0]!, configuration: data['parents.yaml']! }
}

t.test('the example is of this version, and its configuration is usable', async t => {
  const { container, configuration } = example()
  t.equal(container.image, `localhost/parentfs:${version}`)
  t.ok(container.securityContext.privileged)
  const { mountpoint } = /^mountpoint: (?<mountpoint>.*)$/m.exec(configuration)!.groups!
  const volume = container.volumeMounts.find(({ mountPropagation }) => mountPropagation === 'Bidirectional')
  t.ok(mountpoint!.startsWith(`${volume?.mountPath}/`), 'the mountpoint lies below the volume that is shared')
})

t.test('it mounts into the host, by the flags of the DaemonSet', { skip: cannotMount }, async t => {
  const made = await makeDebianPackage()
  if ('why' in made) return t.pass('an image', { skip: made.why })
  const root = await debianTar('trixie')
  if (root.tar === null) return t.pass('an image', { skip: root.why })
  const image = join(where, 'image.tar')
  const build = ['env', `ROOT=${root.tar}`, `PACKAGE=${made.path}`, `TO=${image}`, 'sh', 'packaging/oci/build.sh']
  const built = await start(build[0]!, build.slice(1), { msMax: runMsMax }).ended
  if (built.code !== 0) return t.pass('an image', { skip: built.stderr.trim().split('\n').at(-1) ?? 'no image' })
  const work = join(where, 'work')
  const [origin, etc] = [join(where, 'origin'), join(where, 'etc')]
  for (const directory of [work, origin, etc, join(work, 'cache')]) mkdirSync(directory)
  writeSample(join(origin, 'a.raw'), { seed: 3, sizeBytes: 3_000_000, dataShare: 1 })
  const { container, configuration } = example()
  const own = configuration.replace(/url: .*/, 'url: file:///origin').replace(/capacity: .*/, 'capacity: 200MiB')
  writeFileSync(join(etc, 'parents.yaml'), own)
  const places: Record<string, string> = { mounts: join(work, 'host'), cache: join(work, 'cache'), configuration: etc }
  const flags = container.volumeMounts.map(({ name, mountPath, mountPropagation, readOnly }) => {
    const options = [...(mountPropagation === 'Bidirectional' ? ['rshared'] : []), ...(readOnly ? ['ro'] : [])]
    return `--volume=${places[name]}:${mountPath}${options.length > 0 ? `:${options.join(',')}` : ''}`
  })
  const call = ['--privileged', ...flags, `--volume=${origin}:/origin:ro`, container.image, ...container.args]
  const script = ['test/fixtures/container-run.sh', image, work, origin, ...call]
  const ran = await start('unshare', ['--mount', '--propagation', 'private', 'sh', ...script], { msMax: runMsMax })
    .ended
  const cannot = /cgroup|setrlimit|OCI permission/.exec(ran.stdout.toString())
  if (cannot) return t.pass('a container', { skip: `podman cannot run one here: ${cannot[0]}` })
  t.equal(ran.stdout.toString(), 'ok read through the mount of the container\nok stopped\n', ran.stderr)
  t.equal((await attempt('grep', '-c', where, '/proc/mounts')).code, 1, 'nothing is left here')
})
