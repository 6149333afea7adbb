/** The stream of events: bounds, slow watchers, and the same text for all. */
import { EventEmitter, once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { EventStream, eventOf } from '../../src/web/event-stream.ts'
import { webWatcherStallMs, webWatchersMax } from '../../src/web/limits.ts'

/** A response that takes what it is told to take. */
class FakeResponse extends EventEmitter {
  readonly written: string[] = []
  isFull = false
  isDestroyed = false

  get destroyed(): boolean {
    return this.isDestroyed
  }

  writeHead(): this {
    return this
  }

  write(text: string): boolean {
    this.written.push(text)
    return !this.isFull
  }

  destroy(): void {
    this.isDestroyed = true
    this.emit('close')
  }
}

function join(stream: EventStream) {
  const response = new FakeResponse()
  const isIn = stream.join(response as unknown as ServerResponse, {}, 'greeting')
  return { response, isIn }
}

t.test('one watcher more than may be is refused, and has a place when another leaves', async t => {
  const stream = new EventStream()
  const all = Array.from({ length: webWatchersMax }, () => join(stream))
  t.ok(all.every(({ isIn }) => isIn))
  t.notOk(join(stream).isIn)
  t.equal(stream.counters.refused, 1)
  all[0]!.response.emit('close')
  t.ok(join(stream).isIn)
  stream.close()
  stream.close()
  t.equal(stream.watchers, 0)
  t.ok(all.slice(1).every(({ response }) => response.isDestroyed))
  t.notOk(join(stream).isIn, 'nothing after the end')
})

t.test('a page that has left before it is let in takes no place', async t => {
  const stream = new EventStream()
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const page = connect((server.address() as AddressInfo).port, '127.0.0.1')
  page.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse]
  page.destroy()
  await once(response, 'close')
  stream.join(response, {}, 'greeting')
  t.equal(stream.watchers, 0)
  stream.close()
})

t.test('a watcher that does not drain skips events, and is ended in the end', async t => {
  let nowMs = 0
  const stream = new EventStream(() => nowMs)
  const [slow, quick] = [join(stream).response, join(stream).response]
  slow.isFull = true
  for (const event of ['a', 'b', 'c']) stream.send(event)
  t.same(slow.written, ['greeting', 'a'], 'no more than one is waiting')
  t.same(quick.written, ['greeting', 'a', 'b', 'c'])
  t.equal(stream.counters.skipped, 2)
  slow.isFull = false
  slow.emit('drain')
  stream.send('d')
  t.same(slow.written, ['greeting', 'a', 'd'])
  slow.isFull = true
  stream.send('e')
  nowMs = webWatcherStallMs
  stream.send('f')
  t.ok(slow.isDestroyed)
  t.equal(stream.watchers, 1)
})

t.test('an event is two lines and an empty one, whatever is in it', async t => {
  t.equal(eventOf('a', { b: 'x\n\ny' }), 'event: a\ndata: {"b":"x\\n\\ny"}\n\n')
})
