/** Lines of /etc/fstab, through mount(8) itself. */
import { chmodSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { mountAt } from '../../src/daemon/mount/mount-table.ts'
import { cannotMount, isRunning, type Place, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { attempt, run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const sample = { seed: 51, sizeBytes: 300_000, dataShare: 1 }
const helper = fileURLToPath(new URL('../../../dist/cli/mount-helper-main.js', import.meta.url))
/** A type of this test's own: an installed mount.parentfs stays what it is. */
const type = `parentfs-test-${process.pid}`

/** A place with an image, and the helper where mount(8) looks for it. */
function prepare(t: Test): Place {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), sample)
  const link = `/sbin/mount.${type}`
  // tap loads itself into every Node.js that it finds, and mount(8) is not to wait for that.
  const script = join(where.top, 'helper')
  writeFileSync(script, `#!/bin/sh\nunset NODE_OPTIONS\nexec ${process.execPath} ${helper} "$@"\n`)
  chmodSync(script, 0o755)
  symlinkSync(script, link)
  t.teardown(() => rmSync(link, { force: true }))
  return where
}

function line({ top, mountpoint }: Place, spec: string, words: string): string {
  const file = join(top, 'fstab')
  writeFileSync(file, `${spec} ${mountpoint} ${type} ${words} 0 0\n`)
  return file
}

t.test('mount -a mounts a line, waits until it answers, and leaves it alone the next time', options, async t => {
  const where = prepare(t)
  const words = `cache_dir=${where.cacheDirectory},capacity=200MiB,mode=0400,_netdev,nofail,x-systemd.automount`
  const fstab = line(where, where.origin, words)
  t.match(await attempt('mount', '-fa', '-T', fstab), { code: 0 })
  t.equal(await mountAt(where.mountpoint), null, '-f is fake')
  t.match(await attempt('mount', '-a', '-T', fstab), { code: 0, stderr: '' })
  const read = await run('cat', join(where.mountpoint, 'a.raw'))
  t.ok(read.equals(sampleBytes(sample, 0, sample.sizeBytes)))
  const status = await statusOf(where)
  t.match(status, { cache: { directory: where.cacheDirectory, capacityBytes: 200 * 1024 ** 2 } })
  t.match((await run('stat', '-c', '%a', join(where.mountpoint, 'a.raw'))).toString(), '400')
  t.match(await attempt('mount', '-a', '-T', fstab), { code: 0 })
  t.equal((await statusOf(where)).pid, status.pid)
  await run('umount', where.mountpoint)
  const gone = () => [status.pid, status.supervisorPid].every(pid => !isRunning(pid))
  await until(gone, patienceMs, 'the end of the daemon')
})

t.test('a line may name a directory, or a configuration file', options, async t => {
  const where = prepare(t)
  const onCache = `cache_dir=${where.cacheDirectory},capacity=200MiB`
  await run('mount', '-t', type, where.originDirectory, where.mountpoint, '-o', onCache)
  t.match(await statusOf(where), { origin: { url: where.origin } })
  const { supervisorPid } = await statusOf(where)
  await run('umount', where.mountpoint)
  await until(() => !isRunning(supervisorPid), patienceMs, 'the end of the daemon')
  const file = join(where.top, 'parents.yaml')
  writeFileSync(
    file,
    `origin: { url: "${where.origin}" }\ncache: { directory: ${where.cacheDirectory}, capacity: 300MiB }\n`,
  )
  const fstab = line(where, file, 'config,ro')
  await run('mount', '-a', '-T', fstab)
  const { cache, pid } = await statusOf(where)
  t.equal(cache.capacityBytes, 300 * 1024 ** 2)
  t.equal((await mountAt(where.mountpoint))?.source, file, 'by this it is known the next time')
  t.match(await attempt('mount', '-a', '-T', fstab), { code: 0, stderr: '' })
  t.equal((await statusOf(where)).pid, pid)
})

t.test('what cannot be mounted leaves nothing, and says why in one line', options, async t => {
  const where = prepare(t)
  const cases: [string, string, number, RegExp][] = [
    [where.origin, 'cachedir=/x', 1, /mount option "cachedir=\/x" is not known: there are config, cache_dir/],
    [where.origin, 'capacity=1', 32, /capacity 1 is too small/],
    [`file://${where.top}/nowhere`, 'ro', 32, /nowhere/],
    [join(where.top, 'nowhere.yaml'), 'config', 32, /nowhere\.yaml/],
  ]
  for (const [spec, words, code, said] of cases) {
    const cache = words.includes('config') ? words : `${words},cache_dir=${where.cacheDirectory}`
    const ran = await attempt('mount', '-t', type, spec, where.mountpoint, '-o', cache)
    t.equal(ran.code, code, ran.stderr)
    t.match(ran.stderr, said)
    t.match(ran.stderr, /^mount\.parentfs: [^\n]+\n/)
    t.equal(await mountAt(where.mountpoint), null)
  }
})
