/** Lines of progress for clients that do not take them, or that have left. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { streamProgress } from '../../src/admin/progress-stream.ts'

const never = new AbortController().signal

/** A client that reads nothing, and the response to it. */
async function idleClient(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-progress-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'socket')
  const server = createServer().listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const client = connect(path).pause()
  t.teardown(() => client.destroy())
  client.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n')
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse]
  return { client, response }
}

t.test('a client that stands still keeps a bounded number of lines in memory', async t => {
  const { response } = await idleClient(t)
  let most = 0
  await streamProgress(
    response,
    async ({ onProgress }) => {
      for (let image = 0; image < 10_000; image++) {
        onProgress({ name: `${image}${'x'.repeat(1000)}`, phase: 'promote', doneBytes: 0, totalBytes: 1 })
        most = Math.max(most, response.writableLength)
        if (image % 100 === 0) await new Promise(resolve => setImmediate(resolve))
      }
    },
    never,
  )
  t.ok(most < 1024 * 1024, `${most} bytes of ten million`)
})

t.test('the work of a client that has left already ends', async t => {
  const { client, response } = await idleClient(t)
  client.destroy()
  await once(response, 'close')
  let isOver = false
  await streamProgress(
    response,
    async ({ signal }) => {
      isOver = signal.aborted
    },
    never,
  )
  t.ok(isOver)
})
