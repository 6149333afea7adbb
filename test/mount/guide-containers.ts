/**
 * The guide to containers: its commands are taken out of the page and run with podman, on the image that `make image`
 * has made. `make test-guides` makes one first.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { cannotMount, place } from '../fixtures/daemon.ts'
import { startGuideHost } from '../fixtures/guide-hosts.ts'
import { blocksOf } from '../fixtures/guide-page.ts'
import { writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
const image = `packages/parentfs_${version}_amd64.oci.tar`
const noImage = existsSync(image) ? false : `no OCI image: "make test-guides" makes ${image}`

/** What podman cannot do here, as it says itself. */
const cannotRun = /cgroup|setrlimit|OCI permission/

/**
 * podman with a storage of its own, and limits that a container may have without more rights than here. The storage is on
 * another mount than the volumes: crun makes the mount below a container's root private.
 */
const podman = `
mkdir -p /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
podman() {
  word=$1
  shift
  [ "$word" != run ] || set -- --cgroups=disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@"
  command podman --root /var/cache/pods --runroot /run/pods --storage-driver vfs --cgroup-manager cgroupfs "$word" "$@"
}
`

t.test('the commands of containers.md do what the page says', { skip: cannotMount || noImage }, async t => {
  const page = readFileSync('docs/guides/containers.md', 'utf8')
  t.match(page, `localhost/parentfs:${version} `)
  const host = await startGuideHost(t, place(t).top, { name: 'host-a' })
  mkdirSync(host.path('/srv/origin'))
  writeSample(host.path('/srv/origin/debian.raw'), { seed: 3, sizeBytes: 3_000_000, dataShare: 1 })
  await run('cp', image, host.path('/srv/parentfs.oci.tar'))
  await host.run(podman)
  try {
    for (const { script } of blocksOf(page)) await host.run(script)
  } catch (error) {
    const cannot = cannotRun.exec(host.said())
    if (!cannot) throw error
    return t.pass('a container', { skip: `podman cannot run one here: ${cannot[0]}` })
  }
  t.match(host.said(), / is done\n$/)
})
