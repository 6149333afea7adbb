/** The example of docs/ORIGINS.md: a raw view is a parent for clones, over restarts, at the cost of its packed bytes. */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, makeComplete, parentfs, place, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { originsExamples, runCommands } from '../fixtures/origins-page.ts'
import { noQemuImg } from '../fixtures/qemu-images.ts'
import { run } from '../fixtures/run.ts'

const MiB = 1024 * 1024
const sizeBytes = 24 * MiB + 512

/** Words that pack to a third, and a hole of 4 MiB. */
function diskBytes(): Buffer {
  const disk = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 16) {
    if (at < 8 * MiB || at >= 12 * MiB) disk.write(`${(at * 7919).toString(36).padStart(9)} words `, at, 'latin1')
  }
  return disk
}

t.test('a clone over a raw view as documented, and a restart', { skip: cannotMount || noQemuImg }, async t => {
  const where = place(t)
  const source = join(where.top, 'debian-12.img')
  const [packed, view] = [join(where.originDirectory, 'debian-12.qcow2'), join(where.mountpoint, 'debian-12.raw')]
  const [file, clone] = [join(where.top, 'images.yaml'), join(where.top, 'one.qcow2')]
  writeFileSync(source, diskBytes())
  const server = await spawnHttpOrigin({ directory: where.originDirectory })
  t.teardown(() => server.close())
  t.teardown(() => parentfs('unmount', where.mountpoint, '--force'))
  const [commands] = originsExamples('## Raw views', {
    'debian-12.img': source,
    '/srv/images/': `${where.originDirectory}/`,
    '/etc/parentfs/images.yaml': file,
    '/mnt/parents': where.mountpoint,
    'https://images.example.com/': server.url,
    '/ssd/parents': where.cacheDirectory,
    '200GiB': '200MiB',
    '/var/lib/vms/one.qcow2': clone,
  })
  const said = await runCommands(commands!)
  t.match(said, 'debian-12.qcow2\ndebian-12.raw\n')
  t.equal(statSync(view).size, sizeBytes)
  await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', clone, source)
  const write = ['-c', 'write -P 0x5a 1M 64k', '-c', 'read -P 0x5a 1M 64k', '-c', 'read -P 0 9M 1M']
  await run('qemu-io', '-f', 'qcow2', ...write, clone)
  await run('cmp', view, source)
  await makeComplete(where, 'debian-12.raw')
  const { bytes } = (await statusOf(where)).origin
  const share = bytes / statSync(packed).size
  t.ok(share > 0.85 && share < 1.15, `${share} of the packed bytes were fetched`)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })

  t.match(await parentfs('mount', '--config', file, '--background'), { code: 0 })
  await run('cmp', view, source)
  const { origin, reads, images } = await statusOf(where)
  t.equal(origin.bytes, 0, 'unpacked bytes outlast a restart')
  t.equal(reads.misses, 0)
  t.match(images, [{ name: 'debian-12.raw', complete: true }])
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
})
