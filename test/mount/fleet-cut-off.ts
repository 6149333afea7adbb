/**
 * A host that reaches its group and not the origin opens an image that it never looked up: a member tells the version.
 * When the origin is back, it is asked, and another version there is another image.
 */
import { copyFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Explanation } from '../../src/cache/operations/explain-read.ts'
import type { ImageLocation } from '../../src/origin/locations/image-location.ts'
import { parentfs, patienceMs } from '../fixtures/daemon.ts'
import { FleetHosts, noFleetHosts as skip } from '../fixtures/fleet-hosts.ts'
import { sampleBytes } from '../fixtures/images.ts'
import { attempt } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const sizeBytes = 3 * 1024 ** 2 + 4_097

t.test('a cut-off host opens an image that it never saw', { skip, timeout: 240_000 }, async t => {
  const group = await FleetHosts.open(t, { sizeBytes, images: ['same'], delayMs: 1 })
  const path = join(dirname(group.imagePath), 'changed')
  copyFileSync(group.imagePath, path)
  const [cut, other] = [await group.host(t, 'cut'), await group.host(t, 'other')]
  await Promise.all([cut, other].map(host => host.knows(2)))
  const explained = async (name: string) => {
    const { stdout } = await parentfs('explain', join(cut.where.mountpoint, name), '0', '--json')
    return JSON.parse(stdout.toString()) as Explanation
  }
  group.network.part(cut.at, group.originHost)
  t.ok(await cut.reads('same'), 'by way of the other one')
  t.ok(await cut.reads('changed'))
  const [same, changed] = [await explained('same'), await explained('changed')]
  t.equal(same.toldBy, other.id)
  const { stdout } = await parentfs('locations', join(cut.where.mountpoint, 'same'), '--json')
  const [place] = JSON.parse(stdout.toString()) as ImageLocation[]
  t.match(place, { kind: 'origin', reason: new RegExp(`not named this version yet: ${other.id}`) })
  t.ok((await cut.fleet()).versions.told >= 2)
  // Nothing of a name that nobody has.
  t.not((await attempt('stat', join(cut.where.mountpoint, 'nobody'))).code, 0)

  const next = sampleBytes({ seed: 97, sizeBytes, dataShare: 1 }, 0, sizeBytes)
  writeFileSync(`${path}.next`, next)
  renameSync(`${path}.next`, path)
  group.network.mend(cut.at)
  const isNamed = async (name: string) => (await explained(name)).toldBy === null
  for (const name of ['same', 'changed']) await until(() => isNamed(name), patienceMs, `the origin names ${name}`)
  t.equal((await explained('same')).imageId, same.imageId, 'the version that was told')
  t.not((await explained('changed')).imageId, changed.imageId, 'another one')
  const isNext = async () => (await attempt('cmp', join(cut.where.mountpoint, 'changed'), path)).code === 0
  await until(isNext, patienceMs, 'the bytes of the next version')
  t.ok(await cut.reads('same'))
  for (const host of [cut, other]) await host.unmount()
})
