/**
 * The librbd socket, keeper and responder together: captured frames, old clients, another worker, and streams of bytes
 * that are almost frames.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { kindOfNumber as answerKindOf } from '../../src/librbd/answer-kinds.ts'
import { loadAddon } from '../../src/native/addon.ts'
import { randomFrom } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const addon = loadAddon()
const registerFrame = '02011400000011000000000000000000060000 0031382e322e37'.replace(' ', '')
const registered = '02010a00000013000000000000000000'
const object = Buffer.from('rbd_data.103392f4174.000000000000003f').toString('hex')
const readFrame =
  `02015f0000001200020000000000000000000000000000000000000000000000` +
  `0100000000000000040000000000000025000000${object}000000000000400000000000`
const name = { poolId: 1n, snapshotId: 4n, namespace: '', prefix: 'rbd_data.103392f4174' }

function openIn(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-librbd-'))
  const path = join(directory, 'sock')
  const keeper = addon.createLibrbdKeeper(addon.listenAt(path, 0o600, null), null, null)
  const unknown: string[] = []
  const serve = () => {
    const responder = addon.createLibrbdResponder(keeper.attach(), '/view', () => {
      for (const { prefix } of responder.takeUnknown()) unknown.push(prefix)
    })
    t.teardown(() => responder.close())
    return responder
  }
  const responder = serve()
  t.teardown(() => {
    keeper.close()
    rmSync(directory, { recursive: true, force: true })
  })
  return { path, keeper, responder, serve, unknown }
}

/** A client that gathers what it hears. */
function clientOf(t: Test, path: string): { readonly socket: Socket; heard(): string } {
  const socket = connect(path)
  const heard: Buffer[] = []
  socket.on('data', bytes => heard.push(bytes)).on('error', () => {})
  t.teardown(() => socket.destroy())
  return { socket, heard: () => Buffer.concat(heard).toString('hex') }
}

const hears = (client: { heard(): string }, hex: string) =>
  until(() => client.heard().includes(hex), 60_000, `${hex} in ${client.heard()}`)

t.test('captured frames of librbd 18.2.7, byte by byte', async t => {
  const { path, responder, unknown } = openIn(t)
  const client = clientOf(t, path)
  for (const byte of Buffer.from(registerFrame + readFrame, 'hex')) client.socket.write(Buffer.from([byte]))
  await hears(client, registered)
  await hears(client, '02010a00000015000200000000000000')
  await until(() => unknown.length === 1, 60_000, 'the parent is asked for once')
  t.same(unknown, ['rbd_data.103392f4174'])
  const existing = new Uint8Array(9)
  responder.setParent(name, { image: 7, order: 22, sizeBytes: 2 ** 28, file: null, existing, left: 0 })
  client.socket.write(Buffer.from(readFrame, 'hex'))
  await hears(client, '02010e0000001400020000000000000000000000')
  t.equal(responder.counters().answers[2], 1, 'an absent object, as such')
})

t.test('a client that said no version gets a path that does not exist', async t => {
  const { path, responder } = openIn(t)
  responder.setParent(name, {
    image: 7,
    order: 22,
    sizeBytes: 2 ** 28,
    file: null,
    existing: new Uint8Array(9),
    left: 0,
  })
  const client = clientOf(t, path)
  client.socket.write(Buffer.from(`02010a00000011000000000000000000${readFrame}`, 'hex'))
  await hears(client, Buffer.from('/view/absent').toString('hex'))
  t.pass('it has the path')
})

t.test('half a frame waits for another worker, and is answered once', async t => {
  const { path, responder, serve } = openIn(t)
  const client = clientOf(t, path)
  client.socket.write(Buffer.from(registerFrame + readFrame.slice(0, 60), 'hex'))
  await hears(client, registered)
  responder.close()
  serve()
  client.socket.write(Buffer.from(readFrame.slice(60), 'hex'))
  await hears(client, '02010a00000015000200000000000000')
  t.equal(client.heard(), `${registered}02010a00000015000200000000000000`)
})

/** READs of one object, with sequence numbers of their own. */
const asks = (from: number, count: number) =>
  Array.from({ length: count }, (_, k) => {
    const frame = Buffer.from(readFrame, 'hex')
    frame.writeBigUInt64LE(BigInt(from + k), 8)
    return frame
  })

t.test('over librbd.throttle clients read by themselves, until tokens come', async t => {
  const { path, responder } = openIn(t)
  responder.setParent(name, { image: 7, order: 22, sizeBytes: 2 ** 28, file: null, existing: null, left: 0 })
  responder.setColdPolicy(1, 0)
  responder.setThrottles({ readsPerSecond: 1, readsBurst: 3, bytesPerSecond: 0, bytesBurst: 0 })
  const client = clientOf(t, path)
  client.socket.write(Buffer.concat([Buffer.from(registerFrame, 'hex'), ...asks(1, 40)]))
  const answered = () => responder.counters().answers.reduce((sum, count) => sum + count, 0)
  await until(() => answered() === 40, 60_000, 'all are answered')
  const [, partial, , , , throttled] = responder.counters().answers
  t.ok(partial! >= 3 && throttled! > 0, `${partial} by path, ${throttled} over the limit`)
  let next = 100
  const isServed = () => {
    client.socket.write(asks(next++, 1)[0]!)
    return responder.counters().answers[1]! > partial!
  }
  await until(isServed, 60_000, 'a token comes')
  responder.setThrottles({ readsPerSecond: 0, readsBurst: 0, bytesPerSecond: 1, bytesBurst: 1 })
  const before = responder.counters().answers[5]!
  client.socket.write(Buffer.concat(asks(1000, 8)))
  await until(() => responder.counters().answers[5]! > before, 60_000, 'bytes are limited too')
  t.pass('an object of 4 MiB is over a byte a second')
})

t.test('an end answers READ_RADOS, then nothing, then closes', async t => {
  const { path, responder } = openIn(t)
  responder.setParent(name, { image: 7, order: 22, sizeBytes: 2 ** 28, file: null, existing: null, left: 0 })
  responder.setColdPolicy(1, 0)
  const client = clientOf(t, path)
  const [byPath, first, second] = asks(1, 3)
  client.socket.write(Buffer.concat([Buffer.from(registerFrame, 'hex'), byPath!]))
  await hears(client, Buffer.from('/view/').toString('hex'))
  responder.retreat()
  client.socket.write(first!)
  await hears(client, '02010a00000015000200000000000000')
  t.equal(answerKindOf(responder.counters().answers.lastIndexOf(1)), 'closing')
  responder.fallSilent()
  const before = client.heard()
  const ended = new Promise(resolve => client.socket.once('close', resolve))
  await new Promise(resolve => client.socket.write(second!, resolve))
  responder.hangUp()
  await ended
  t.equal(client.heard(), before, 'the last ask is not answered')
})

t.test('a mode leaves misses or everything to the cluster, and looking counts nothing', async t => {
  const { path, responder } = openIn(t)
  const parent = { image: 7, order: 22, sizeBytes: 2 ** 28, file: null, existing: null } as const
  responder.setParent(name, { ...parent, left: 0 })
  const kind = (object = 63) => answerKindOf(responder.look(name, object))
  t.equal(kind(), 'cold')
  responder.changeParent(7, null, 1)
  t.equal(kind(), 'mode')
  responder.changeParent(8, null, 0)
  t.equal(kind(), 'mode', 'another image')
  t.equal(kind(64), 'malformed', 'past the end')
  t.equal(answerKindOf(responder.look({ ...name, snapshotId: 5n }, 0)), 'unknown')
  responder.refuseParent(name, 2)
  t.equal(kind(), 'striped')
  t.ok(responder.counters().answers.every(count => count === 0))
  responder.setParent(name, { ...parent, left: 2 })
  const client = clientOf(t, path)
  client.socket.write(Buffer.from(registerFrame + readFrame, 'hex'))
  await hears(client, '02010a00000015000200000000000000')
  t.equal(kind(), 'mode')
})

t.test('mutated frames, split anywhere, end nothing but their own connection', async t => {
  const { path, keeper, responder } = openIn(t)
  const seed = Number(process.env.SEED ?? Date.now() % 1e9)
  t.comment(`SEED=${seed}`)
  const random = randomFrom(seed)
  const frames = Number(process.env.FRAMES ?? 100_000)
  let client = clientOf(t, path)
  const whole = [registerFrame, readFrame].map(hex => Buffer.from(hex, 'hex'))
  for (let sent = 0; sent < frames; ) {
    if (client.socket.destroyed || client.socket.readableEnded) client = clientOf(t, path)
    const batch = Array.from({ length: 500 }, () => {
      const frame = Buffer.from(whole[Math.floor(random() * 2)]!)
      const at = Math.floor(random() * frame.length)
      // The length seldom: where it is wrong, the connection is over.
      if ((at < 2 || at > 5 || random() < 0.005) && random() < 0.5) frame[at] = Math.floor(random() * 256)
      return random() < 0.0002 ? frame.subarray(0, at) : frame
    })
    sent += batch.length
    const bytes = Buffer.concat(batch)
    const cut = Math.floor(random() * bytes.length)
    client.socket.write(bytes.subarray(0, cut))
    await new Promise(resolve => client.socket.write(bytes.subarray(cut), resolve))
  }
  client.socket.destroy()
  const last = clientOf(t, path)
  last.socket.write(Buffer.from(registerFrame, 'hex'))
  await hears(last, registered)
  const { broken, answers } = responder.counters()
  t.ok(broken > 0, 'some streams could not be framed')
  const asked = answers.reduce((sum, count) => sum + count, 0)
  t.ok(asked > frames / 10, `${asked} asks were answered`)
  await until(() => keeper.connections() === 1, 60_000, 'the others have gone')
})
