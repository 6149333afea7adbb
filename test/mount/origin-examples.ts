/** The examples of docs/ORIGINS.md for a directory and for a web server: a clone runs on each. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, type Place, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { writeSample } from '../fixtures/images.ts'
import { noNginx, startNginx } from '../fixtures/nginx.ts'
import { originsExamples, runCommands } from '../fixtures/origins-page.ts'
import { noQemuImg } from '../fixtures/qemu-images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const skip = cannotMount || noQemuImg

/** Places of both examples, with an image to convert. */
function placesOf(where: Place): { readonly source: string; readonly clone: string; readonly places: object } {
  const [source, clone] = [join(where.top, 'debian-12.img'), join(where.top, 'one.qcow2')]
  writeSample(source, { seed: 61, sizeBytes: 8 * 1024 * 1024, dataShare: 0.6 })
  const places = {
    'debian-12.img': source,
    '/srv/images': where.originDirectory,
    '/mnt/parents': where.mountpoint,
    '/ssd/parents': where.cacheDirectory,
    '200GiB': '200MiB',
    '/var/lib/vms/one.qcow2': clone,
  }
  return { source, clone, places }
}

/** The clone has the bytes of its parent, and takes writes. */
async function isClone(t: Test, clone: string, source: string, where: Place): Promise<void> {
  await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', clone, source)
  await run('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x5a 1M 64k', '-c', 'read -P 0x5a 1M 64k', clone)
  t.match(await statusOf(where), { images: [{ name: 'debian-12.raw' }] })
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
}

t.test('a clone over a directory as documented', { skip }, async t => {
  const where = place(t)
  const { source, clone, places } = placesOf(where)
  const [commands] = originsExamples('## Directories', { ...places })
  t.match(await runCommands(commands!), /^debian-12.raw\n/)
  await isClone(t, clone, source, where)
})

t.test('a clone over a web server as documented, compared with its digest', { skip: skip || noNginx }, async t => {
  const where = place(t)
  const { source, clone, places } = placesOf(where)
  const server = await startNginx({ directory: where.originDirectory, listing: 'html' })
  t.teardown(() => server.close())
  const examples = originsExamples('## Web servers', { ...places, 'http://images.example.com/': server.url })
  t.match(await runCommands(examples.join('')), /^debian-12.raw\ndebian-12.raw.sha256\n/)
  const isVerified = async () => (await statusOf(where)).images[0]?.digest === 'verified'
  await run('cmp', source, join(where.mountpoint, 'debian-12.raw'))
  await until(isVerified, patienceMs, 'the comparison with its digest')
  await isClone(t, clone, source, where)
})
