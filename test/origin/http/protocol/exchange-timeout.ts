/** Time-outs of an exchange, of a process that stands still now and then. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { ExchangeTimeout } from '../../../../src/origin/http/protocol/exchange-timeout.ts'
import { dripBytesMin, lateTimerMsMin } from '../../../../src/origin/http/protocol/limits.ts'

const { signal } = new AbortController()
const msMax = 50

/** A time-out of a test, which ends with it. */
function watchOf(t: Test): ExchangeTimeout {
  const watch = new ExchangeTimeout('a', signal)
  t.teardown(() => watch.end())
  return watch
}

/** No piece of JavaScript runs. */
function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, msMax + 2 * lateTimerMsMin)
}

/** Both ends of a connection. */
async function connection(t: Test): Promise<{ readonly near: Socket; readonly far: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], unknown]
  t.teardown(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  return { near, far }
}

/** Resolves when its time is over. */
async function fired(watch: ExchangeTimeout): Promise<void> {
  if (watch.error === null) await new Promise<void>(resolve => watch.signal.addEventListener('abort', () => resolve()))
}

t.test('what lies in the socket unread, because this process stood still, is not late', async t => {
  const { near, far } = await connection(t)
  const watch = watchOf(t)
  near.on('data', bytes => watch.progress(bytes.length))
  const received = once(near, 'data')
  watch.arm('no answer', msMax)
  far.write(Buffer.alloc(dripBytesMin))
  standStill()
  await received
  t.equal(watch.error, null)
  await fired(watch)
  t.match(watch.error, { code: 'origin-timeout', message: `a: no answer in ${msMax} ms` }, 'its time has begun anew')
})

t.test('a server that stays silent afterwards is late, and one that was silent all the time', async t => {
  const stood = watchOf(t)
  stood.arm('no answer', msMax)
  standStill()
  t.equal(stood.error, null)
  await fired(stood)
  t.match(stood.error, { code: 'origin-timeout' })
  const watch = watchOf(t)
  watch.arm('no answer', msMax)
  await fired(watch)
  t.match(watch.error, { code: 'origin-timeout' })
})

t.test('a process that stands still again and again does not wait for ever', async t => {
  const watch = watchOf(t)
  const timer = setInterval(standStill, 1)
  t.teardown(() => clearInterval(timer))
  watch.arm('no answer', msMax)
  await fired(watch)
  t.match(watch.error, { code: 'origin-timeout' })
})
