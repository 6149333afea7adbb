/**
 * A mount that serves an image and adds its URL at a real Glance, and a second mount that is told of it there and reads
 * it from the first, also when Glance is away.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ImageLocation } from '../../src/origin/locations/image-location.ts'
import { cannotMount, isGone, type Place, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { freePort } from '../fixtures/free-port.ts'
import { noGlance, startGlance } from '../fixtures/glance-server.ts'
import { sampleBytes } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const image = { seed: 31, sizeBytes: 6 * 1024 * 1024 + 5, dataShare: 1 }
const name = 'a.raw'

async function mount(t: Test, where: Place, url: string, fleet = ''): Promise<() => Promise<void>> {
  const file = join(where.top, 'p.yaml')
  const lines = [
    `mountpoint: ${where.mountpoint}`,
    `origin: { url: "${url}" }`,
    `cache: { directory: ${where.cacheDirectory}, capacity: 150MiB, readAhead: 0 }`,
    `log: { level: debug, file: ${join(where.top, 'log')} }`,
    fleet,
  ]
  writeFileSync(file, lines.join('\n'))
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  return async () => {
    const { pid, supervisorPid } = await statusOf(where)
    t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
    await until(() => isGone(where, pid, supervisorPid), patienceMs, 'the end of the mount')
  }
}

const skip = cannotMount || noGlance

t.test('a mount reads an image from the host that Glance tells of', { skip, timeout: 400_000 }, async t => {
  const glance = await startGlance(t, { hasLocations: true })
  const bytes = sampleBytes(image, 0, image.sizeBytes)
  const id = await glance.put({ name, bytes })
  const told = async () => {
    const answer = await fetch(`${glance.endpoint}/v2/images/${id}`)
    return ((await answer.json()) as { locations: { url: string }[] }).locations.map(({ url }) => url)
  }
  const [first, second] = [place(t), place(t)]
  const address = `127.0.0.1:${await freePort()}`
  const endFirst = await mount(
    t,
    first,
    glance.url,
    `fleet: { listen: "${address}", register: glance, insecure: true }`,
  )
  // A copy is registered once its bytes were compared with the digest that Glance has.
  t.match(await parentfs('promote', name, '-m', first.mountpoint), { code: 0 })
  t.match(await parentfs('verify', name, '-m', first.mountpoint), { code: 0 })
  const isTold = async () => (await told()).some(url => url.startsWith(`http://${address}/v1/image/`))
  await until(isTold, patienceMs, 'the URL of the first mount at Glance')
  const own = JSON.parse((await parentfs('locations', name, '-m', first.mountpoint, '--json')).stdout.toString())
  const refused = (own as ImageLocation[]).find(({ url }) => url.includes(address))
  t.match(refused, { kind: 'told', state: 'unusable', reason: /this host itself/ })

  const endSecond = await mount(t, second, glance.url)
  const locations = async () => {
    const { stdout } = await parentfs('locations', name, '-m', second.mountpoint, '--json')
    return JSON.parse(stdout.toString()) as ImageLocation[]
  }
  const ofFirst = async () => (await locations()).find(({ url }) => url.startsWith(`http://${address}/v1/image/`))
  await until(async () => (await ofFirst())?.state === 'good', patienceMs, 'the comparison')
  const [origin, ...others] = await locations()
  t.match(origin, { kind: 'origin', url: glance.url })
  t.match(
    others.find(({ url }) => url.startsWith('file:')),
    { kind: 'told', state: 'unusable', reason: /credentials/ },
  )
  const verified = await parentfs('verify', '--locations', name, '-m', second.mountpoint)
  t.match(verified.stdout.toString(), new RegExp(`${address}/v1/image/\\w+: the same`))
  t.equal(verified.code, 0)
  const before = (await ofFirst())!.bytes
  await glance.processes.kill('glance')
  const copy = join(second.top, 'copy')
  await run('dd', `if=${join(second.mountpoint, name)}`, `of=${copy}`, 'bs=64K', 'iflag=direct', 'status=none')
  t.ok(readFileSync(copy).equals(bytes), 'with Glance away')
  t.ok((await ofFirst())!.bytes >= before + image.sizeBytes / 2, 'of the first mount')
  await endSecond()
  await endFirst()
})
