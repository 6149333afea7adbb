/** The socket file for librbd: a stale one is replaced, a live one and what is no socket are refused. */
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { listenForLibrbd, whyPlaceUntrusted } from '../../../src/daemon/supervisor/librbd-socket.ts'
import { loadAddon } from '../../../src/native/addon.ts'

const addon = loadAddon()

function placeIn(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-librbd-socket-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return { socket: join(directory, 'sock'), directory: join(directory, 'objects'), mode: 0o660, group: null }
}

t.test('a stale socket file is replaced, a live one is refused and stays', async t => {
  const place = placeIn(t)
  const first = await listenForLibrbd(addon, place)
  t.equal(statSync(place.socket).mode & 0o777, 0o660)
  await t.rejects(listenForLibrbd(addon, place), { code: 'mount-busy', message: /served by another process/ })
  addon.closeFd(first)
  t.ok(existsSync(place.socket), 'nobody serves it now')
  addon.closeFd(await listenForLibrbd(addon, { ...place, mode: 0o600 }))
  t.equal(statSync(place.socket).mode & 0o777, 0o600)
  t.ok(statSync(place.socket).isSocket())
})

t.test("another program's live socket is refused", async t => {
  const place = placeIn(t)
  const server = createServer(connection => connection.destroy())
  await new Promise<void>(resolve => server.listen(place.socket, resolve))
  t.teardown(() => server.close())
  await t.rejects(listenForLibrbd(addon, place), { code: 'mount-busy', message: /ceph-immutable-object-cache/ })
  t.ok(statSync(place.socket).isSocket())
})

t.test('what is no socket is left alone', async t => {
  const place = placeIn(t)
  writeFileSync(place.socket, 'mine')
  await t.rejects(listenForLibrbd(addon, place), { code: 'invalid-argument', message: /is no socket/ })
  t.ok(statSync(place.socket).isFile())
})

t.test('a directory that another user could exchange is not trusted', async t => {
  const directory = dirname(placeIn(t).socket)
  t.equal(whyPlaceUntrusted(directory, null), null)
  chmodSync(directory, 0o777)
  t.type(whyPlaceUntrusted(directory, null), 'string')
})
