/** The native receiver as TypeScript has it: what it refuses, and how it ends. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { loadAddon } from '../../src/native/addon.ts'
import { patienceMs, until } from '../fixtures/until.ts'

const addon = loadAddon()
const request = Buffer.from('GET / HTTP/1.1\r\n\r\n')
const answer = 'HTTP/1.1 206 x\r\nContent-Length: 4\r\n\r\nbody'

/** A connection to a server of ours, and that server's end of it. */
async function connected(t: Test) {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [[there]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(socket, 'connect')])
  t.teardown(() => {
    socket.destroy()
    there.destroy()
    server.close()
  })
  return { socket, fd: (socket as unknown as { readonly _handle: { readonly fd: number } })._handle.fd, there }
}

t.test('a connection goes on though its first descriptor is closed', async t => {
  const receiver = addon.createReceiver()
  t.teardown(() => receiver.close())
  const { socket, fd, there } = await connected(t)
  const events: unknown[][] = []
  const id = receiver.adopt(fd, (event, value, head) =>
    events.push([event, value, head && Buffer.from(head).toString()]),
  )
  socket.destroy()
  const target = Buffer.alloc(4)
  for (let k = 1; k <= 3; k++) {
    receiver.ask(id, request, target.fill(0))
    t.throws(() => receiver.ask(id, request, target), { code: 'EBUSY', syscall: 'send' })
    const [asked] = await once(there, 'data')
    t.ok(request.equals(asked))
    there.write(answer)
    await until(() => events.length === k, patienceMs, 'the body')
    t.same(events[k - 1], ['whole', 4, answer.slice(0, -4)])
    t.equal(target.toString(), 'body')
  }
  there.destroy()
  await until(() => events.length === 4, patienceMs, 'its end')
  t.same(events[3], ['lost', 0, null])
  t.throws(() => receiver.ask(id, request, target), { code: 'ENOTCONN' })
  receiver.drop(id)
  receiver.drop(id)
})

t.test('bad arguments are refused, and nothing is told after an end', async t => {
  const receiver = addon.createReceiver()
  const { fd, there } = await connected(t)
  const events: string[] = []
  t.throws(() => receiver.adopt(1_000_000, () => {}), { code: 'EBADF' })
  t.throws(() => receiver.adopt(fd, null as never), TypeError)
  t.throws(() => receiver.adopt(-1, () => {}), RangeError)
  t.throws(() => receiver.adoptTls(fd, 0, 'localhost', () => {}), RangeError)
  t.throws(() => receiver.adoptTls(fd, 1, 'localhost', () => {}), RangeError, 'whom nobody has told it to trust')
  t.equal(receiver.trust('', 'no such cipher'), null)
  t.throws(() => receiver.adoptTls(fd, 1, 'localhost', () => {}), RangeError)
  const id = receiver.adopt(fd, event => events.push(event))
  t.throws(() => receiver.ask(id, 'text' as never, Buffer.alloc(1)), TypeError)
  t.throws(() => receiver.ask(id, request, new Uint16Array(1) as never), TypeError)
  t.throws(() => receiver.ask(id, request, new Uint8Array(0)), { code: 'EINVAL' })
  t.throws(() => receiver.ask(id + 1, request, Buffer.alloc(1)), { code: 'ENOTCONN' })
  receiver.ask(id, request, Buffer.alloc(4))
  there.write(answer)
  receiver.close()
  receiver.close()
  await new Promise(resolve => setTimeout(resolve, 50))
  t.same(events, [])
  t.throws(() => receiver.ask(id, request, Buffer.alloc(1)), { code: 'ENOTCONN' })
  const { fd: another } = await connected(t)
  t.throws(() => receiver.adopt(another, () => {}), { code: 'ECANCELED' })
})
