/**
 * The guide to libvirt: its commands are taken out of the page and run on two hosts, each with a libvirtd and a mount of
 * its own. The guest of the page boots from its clone, and reads right bytes through snapshot, commit and migration.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeBootableImage, noBootableImage } from '../fixtures/bootable-image.ts'
import { cannotMount, place } from '../fixtures/daemon.ts'
import { type GuideHost, startGuideHost } from '../fixtures/guide-hosts.ts'
import { blocksOf } from '../fixtures/guide-page.ts'

const noLibvirt = ['/usr/sbin/libvirtd', '/usr/sbin/virtlogd', '/usr/bin/virsh', '/usr/bin/qemu-system-x86_64']
  .filter(path => !existsSync(path))
  .map(path => `${path} is missing`)[0]

/** Bytes whose checksum the guest reports in each round. */
const roundBytes = 8 * 1024 ** 2

/** Starts the daemons of libvirt, which hear of other hosts without a login: the network is this machine's. */
const libvirtd = (number: number) => `
mkdir -p /var/lib/libvirt/images
printf '%s\\n' 'listen_tls = 0' 'listen_tcp = 1' 'auth_tcp = "none"' 'listen_addr = "127.0.0.${number}"' \\
  'host_uuid = "4f7a1d3e-5f0a-4c5e-9d5b-00000000000${number}"' >/etc/libvirt/libvirtd.conf
virtlogd -d
libvirtd --listen -d
`

const skip = cannotMount || noBootableImage || noLibvirt || false

t.test('the commands of libvirt.md do what the page says', { skip }, async t => {
  const { top } = place(t)
  const image = join(top, 'debian.raw')
  mkdirSync(join(top, 'made'))
  await makeBootableImage(image, join(top, 'made'))
  const names = { 'host-a': '127.0.0.2', 'host-b': '127.0.0.3' }
  const a = await startGuideHost(t, top, { name: 'host-a', names })
  const b = await startGuideHost(t, top, { name: 'host-b', names, beside: a })
  for (const [k, host] of [a, b].entries()) {
    mkdirSync(host.path('/srv/origin'))
    copyFileSync(image, host.path('/srv/origin/debian.raw'))
    await host.run(libvirtd(k + 2))
  }
  const blocks = blocksOf(readFileSync('docs/guides/libvirt.md', 'utf8'))
  for (const host of ['host-b', 'both-hosts'])
    t.ok(
      blocks.some(block => block.host === host),
      host,
    )
  for (const { host, script } of blocks) {
    if (host !== 'host-b') await a.run(script)
    if (host !== null) await b.run(script)
  }
  guestRead(t, readFileSync(image), a, b)
})

/** Compares what the guest has reported on both hosts. */
function guestRead(t: Test, image: Buffer, ...hosts: readonly GuideHost[]): void {
  const sumOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const said = hosts.map(host => readFileSync(host.path('/var/log/libvirt/one.log'), 'utf8'))
  t.equal(/guest: whole disk (\w+)/.exec(said[0]!)?.[1], sumOf(image), 'the disk that the guest has booted from')
  const rounds = said.map(text => [...text.matchAll(/guest: round (\d+) (\w{64})/g)])
  for (const [k, found] of rounds.entries()) t.ok(found.length > 0, `${hosts[k]!.name}: ${found.length} rounds`)
  const [last, next] = [rounds[0]?.at(-1)?.[1], rounds[1]?.[0]?.[1]].map(Number)
  t.ok(next! >= last!, `the same guest goes on: round ${last}, then ${next}`)
  const wrong = rounds.flat().filter(([, , sum]) => sum !== sumOf(image.subarray(0, roundBytes)))
  t.same(wrong, [])
}
