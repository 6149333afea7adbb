/** Mounting and unmounting by system call: our own mount goes, and no other that has come to its place. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findHolders } from '../../../src/daemon/mount/mount-holders.ts'
import { fileSystemType, mountsAt } from '../../../src/daemon/mount/mount-table.ts'
import { createMounter } from '../../../src/daemon/mount/mounter.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { cannotMount, mountDaemon, place, stop } from '../../fixtures/daemon.ts'
import { startInNamespace } from '../../fixtures/namespace-process.ts'
import { run } from '../../fixtures/run.ts'

const addon = loadAddon()
const options = { skip: cannotMount }

/** A new directory, with nothing mounted on it afterwards. */
function newMountpoint(t: Test): string {
  const top = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
  const mountpoint = join(top, 'mnt')
  mkdirSync(mountpoint)
  t.teardown(async () => {
    while ((await mountsAt(mountpoint)).length > 0) await run('umount', '-l', mountpoint)
    rmSync(top, { recursive: true })
  })
  return mountpoint
}

const typesAt = async (mountpoint: string) => (await mountsAt(mountpoint)).map(({ type }) => type)
const mountOther = (mountpoint: string) => run('mount', '-t', 'tmpfs', 'other', mountpoint)

t.test('what was mounted goes, and once more is no error', options, async t => {
  const mountpoint = newMountpoint(t)
  const mounter = createMounter(addon, mountpoint)
  const fd = await mounter.mount('http://host/', true)
  t.teardown(() => addon.closeFd(fd))
  t.same(await typesAt(mountpoint), [fileSystemType])
  await mounter.unmount(false)
  t.same(await typesAt(mountpoint), [])
  await mounter.unmount(true)
})

t.test('a user in another mount namespace holds it; a copy that nobody uses does not', options, async t => {
  const mountpoint = newMountpoint(t)
  await mountOther(mountpoint)
  writeFileSync(join(mountpoint, 'file'), 'x')
  await startInNamespace(t, 'echo up; read line')
  for (const use of [`exec 3< ${mountpoint}/file`, `cd ${mountpoint}`]) {
    const { child, ended } = await startInNamespace(t, `${use}; echo up; read line`)
    await t.rejects(createMounter(addon, mountpoint).unmount(false), { code: 'mount-busy' })
    const { device } = (await mountsAt(mountpoint))[0]!
    t.same(
      (await findHolders(mountpoint, device)).map(({ pid }) => pid),
      [child.pid],
    )
    child.stdin!.end()
    await ended
  }
  await createMounter(addon, mountpoint).unmount(false)
  t.same(await typesAt(mountpoint), [])
})

t.test('a mount that has come to the place of ours stays, also by force', options, async t => {
  const mountpoint = newMountpoint(t)
  const supervisor = createMounter(addon, mountpoint)
  const fd = await supervisor.mount('http://host/', true)
  t.teardown(() => addon.closeFd(fd))
  // The worker has one of its own, for when it is left alone.
  const worker = createMounter(addon, mountpoint)
  await worker.adopt(fd)
  await run('umount', '-l', mountpoint) // Without it a call would ask a daemon that never answers.
  const device = async () => (await mountsAt(mountpoint))[0]?.device
  await mountOther(mountpoint)
  t.comment(
    `ours is no longer, and ${await device()} is the next one's device: the kernel gives the smallest that is free`,
  )
  for (const mounter of [supervisor, worker]) {
    for (const force of [false, true]) await mounter.unmount(force)
  }
  t.same(await typesAt(mountpoint), ['tmpfs'])
  // One that knows of no mount of its own is for "parentfs unmount" and stale ones.
  await createMounter(addon, mountpoint).unmount(true)
  t.same(await typesAt(mountpoint), [])
})

t.test(
  'another parentfs in the place of ours, perhaps with the same device, stays as long as it answers',
  options,
  async t => {
    const where = place(t)
    const mounter = createMounter(addon, where.mountpoint)
    const fd = await mounter.mount(where.origin, true)
    t.teardown(() => addon.closeFd(fd))
    const before = (await mountsAt(where.mountpoint))[0]!
    await run('umount', '-l', where.mountpoint)
    t.notOk(addon.isFuseConnected(fd))
    const daemon = await mountDaemon(t, where)
    const after = (await mountsAt(where.mountpoint))[0]!
    t.comment(`where nobody else mounts, nothing in the table tells them apart: ${before.device}, ${after.device}`)
    for (const force of [false, true]) await mounter.unmount(force)
    t.same(await typesAt(where.mountpoint), [fileSystemType])
    t.equal(await stop(daemon), 0)
  },
)

t.test('ours that was aborted goes', options, async t => {
  const mountpoint = newMountpoint(t)
  const mounter = createMounter(addon, mountpoint)
  const fd = await mounter.mount('http://host/', true)
  t.teardown(() => addon.closeFd(fd))
  const [, minor] = (await mountsAt(mountpoint))[0]!.device.split(':')
  t.ok(addon.isFuseConnected(fd))
  await run('mount', '-t', 'fusectl', 'fusectl', '/sys/fs/fuse/connections').catch(() => {}) // Often it is there.
  writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1')
  t.notOk(addon.isFuseConnected(fd))
  await mounter.unmount(true)
  t.same(await typesAt(mountpoint), [])
})

t.test('ours under another mount is refused, with what lies above', options, async t => {
  const mountpoint = newMountpoint(t)
  const mounter = createMounter(addon, mountpoint)
  const fd = await mounter.mount('http://host/', true)
  t.teardown(() => addon.closeFd(fd))
  await mountOther(mountpoint)
  for (const force of [false, true]) {
    await t.rejects(mounter.unmount(force), { code: 'mount-failed', message: /under another mount \(tmpfs of other\)/ })
  }
  t.same(await typesAt(mountpoint), [fileSystemType, 'tmpfs'])
  await run('umount', mountpoint)
  await mounter.unmount(false)
  t.same(await typesAt(mountpoint), [])
})

t.test('what somebody mounts between the look and the mount is left alone, and ours goes', options, async t => {
  const mountpoint = newMountpoint(t)
  const mounter = createMounter(addon, mountpoint)
  await mounter.prepare()
  await mountOther(mountpoint)
  await t.rejects(mounter.mount('http://host/', true), { code: 'mount-busy', message: /by another user/ })
  t.same(await typesAt(mountpoint), ['tmpfs'])
})
