/** Lines between two processes that do not believe each other. */
import { Duplex } from 'node:stream'
import t from 'tap'
import { messageBytesMax } from '../../../src/daemon/ipc/limits.ts'
import { LineChannel } from '../../../src/daemon/ipc/line-channel.ts'

/** A channel, what came through it, and what it wrote. */
function setUp() {
  const written: string[] = []
  const socket = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk.toString())
      done()
    },
  })
  const heard: unknown[] = []
  const channel = new LineChannel(socket)
  channel.onMessage(value => void heard.push(value))
  const come = (bytes: string | Buffer) => void socket.emit('data', Buffer.from(bytes))
  return { socket, channel, heard, written, come }
}

t.test('messages are lines, in whatever pieces they come', async t => {
  const { channel, heard, written, come } = setUp()
  const text = '{"type":"pong"}\n{"a":"\u00e4\\n"}\n'
  for (const byte of Buffer.from(text)) come(Buffer.of(byte))
  come(text)
  t.same(heard, [{ type: 'pong' }, { a: '\u00e4\n' }, { type: 'pong' }, { a: '\u00e4\n' }])
  await channel.send({ b: 'x\ny' })
  t.same(written, ['{"b":"x\\ny"}\n'])
})

t.test('what is no JSON, or too long, is dropped, and what follows is heard', async t => {
  const { channel, heard, come } = setUp()
  come('{"type":\n\0\xff\n\n[1]\n')
  t.same(heard, [[1]])
  t.equal(channel.dropped, 3)
  const longest = JSON.stringify('x'.repeat(messageBytesMax - 2))
  come(`${longest}\n`)
  t.equal((heard[1] as string).length, messageBytesMax - 2, 'the longest')
  come('"')
  for (let k = 0; k < 5; k++) come('x'.repeat(messageBytesMax / 4))
  come('"\n[2]\n')
  t.same(heard.slice(2), [[2]], 'one longer, in pieces')
  t.equal(channel.dropped, 4)
})

t.test('who has gone is told nothing, and nobody waits for it', async t => {
  const { socket, channel } = setUp()
  let closed = false
  channel.onClose(() => {
    closed = true
  })
  socket.destroy(new Error('EPIPE'))
  await new Promise(resolve => setImmediate(resolve))
  t.ok(closed)
  await channel.send({ type: 'ping' })
})
