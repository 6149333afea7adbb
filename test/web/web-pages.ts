/** Requests of pages, and the work that they cost. */
import { request } from 'node:http'
import t, { type Test } from 'tap'
import { webActionsMax, webImagesMax, webPageBytesMax } from '../../src/web/limits.ts'
import { WebFiles, webDirectory } from '../../src/web/web-files.ts'
import { WebListener } from '../../src/web/web-listener.ts'
import { WebPages, type WebSource } from '../../src/web/web-pages.ts'
import { until } from '../fixtures/until.ts'
import { fakeSource, imageStatus, liveStatus } from '../fixtures/web-page.ts'

const patienceMs = 60_000

/** Without a gate, as the admin socket has it. */
async function served(t: Test, source: WebSource) {
  const pages = new WebPages(source)
  const handle: Parameters<typeof WebListener.listen>[0]['handle'] = (request, response) =>
    pages.handle(request.url!.slice(1), request, response)
  const listener = await WebListener.listen({ host: '127.0.0.1', port: 0, tls: null, handle })
  t.teardown(async () => {
    pages.close()
    await listener.close()
  })
  return { pages, port: listener.port, url: `http://127.0.0.1:${listener.port}` }
}

/** A stream of events. @returns the text until now, and how to leave */
function listen(port: number) {
  let text = ''
  const sent = request({ host: '127.0.0.1', port, path: '/api/events', agent: false }, response => {
    response.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
    })
    response.on('error', () => {})
  })
  sent.on('error', () => {}).end()
  return { text: () => text, leave: () => void sent.destroy() }
}

t.test('twenty pages cost one look a second, and none costs a walk over the images', async t => {
  const { source } = fakeSource([])
  let [looks, walks] = [0, 0]
  const counted: WebSource = {
    ...source,
    live: () => {
      looks++
      return liveStatus()
    },
    images: () => {
      walks++
      return []
    },
  }
  const { port } = await served(t, counted)
  const pages = Array.from({ length: 20 }, () => listen(port))
  t.teardown(() => pages.forEach(page => void page.leave()))
  const snapshots = (text: string) => text.split('event: snapshot').length - 1
  await until(() => pages.every(({ text }) => text().includes('event: history')), patienceMs, 'the greetings')
  const [before, already] = [looks, Math.max(...pages.map(({ text }) => snapshots(text())))]
  await until(() => pages.every(({ text }) => snapshots(text()) >= already + 3), patienceMs, 'snapshots')
  const most = Math.max(...pages.map(({ text }) => snapshots(text())))
  t.ok(looks - before <= most - already + 1, `${looks - before} looks for ${most - already} snapshots of 20 pages`)
  t.equal(walks, 0)
  const bytes = pages[0]!.text().length / (snapshots(pages[0]!.text()) + 1)
  t.ok(bytes < 8192, `${Math.round(bytes)} bytes an event`)
})

t.test('without pages no look comes within a second', async t => {
  let looks = 0
  const { source } = fakeSource([], () => {
    looks++
    return liveStatus()
  })
  const { port } = await served(t, source)
  t.equal(looks, 1)
  const page = listen(port)
  await until(() => page.text().includes('event: snapshot'), patienceMs, 'a snapshot')
  page.leave()
  t.ok(looks >= 2)
})

t.test('one promotion more than may be is refused, and its place comes back', async t => {
  const { source } = fakeSource([imageStatus('a.raw', 1, 0)])
  const ends: (() => void)[] = []
  const promote = () => new Promise(resolve => ends.push(() => resolve({ promotedBytes: 0 })))
  const held = { ...source, operations: { ...source.operations, promote } } as unknown as WebSource
  const { url } = await served(t, held)
  const ask = () => fetch(`${url}/api/promote`, { method: 'POST', body: '{"image":"a.raw"}' })
  const all = Array.from({ length: webActionsMax }, async () => (await ask()).text())
  await until(() => ends.length === webActionsMax, patienceMs, 'all that may be')
  const over = await ask()
  t.equal(over.status, 503)
  t.match(await over.json(), { code: 'overloaded' })
  for (const end of ends.splice(0)) end()
  t.match(await Promise.all(all), Array(webActionsMax).fill(/"type":"done"/))
  const again = ask()
  await until(() => ends.length === 1, patienceMs, 'the next one')
  ends[0]!()
  t.equal((await again).status, 200)
})

t.test('windows have a bound, an order and a search', async t => {
  const images = ['b', 'a<b>', 'C'].map((name, k) => imageStatus(name, 10 * (k + 1), k))
  const { url } = await served(t, fakeSource(images).source)
  const ask = async (query: string) =>
    (await fetch(`${url}/api/images?${query}`)).json() as Promise<{ images: { name: string }[] }>
  const names = async (query: string) => (await ask(query)).images.map(({ name }) => name)
  t.same(await names(''), ['b', 'a<b>', 'C'])
  t.same(await names('order=size'), ['C', 'a<b>', 'b'])
  t.same(await names('order=resident&count=1'), ['C'])
  t.same(await names('search=%3C&from=0'), ['a<b>'])
  t.same(await names('from=2'), ['C'])
  t.match(await ask('search=B'), { found: 2, total: 3 })
  t.equal((await fetch(`${url}/api/images?count=${webImagesMax + 1}`)).status, 400)
})

t.test('the files are under their bound together, and load nothing from elsewhere', async t => {
  const files = new WebFiles()
  t.match(await files.find(''), { type: 'text/html; charset=utf-8' })
  t.match(await files.find('views/overview.js'), { type: 'text/javascript; charset=utf-8' })
  t.equal(await files.find('../package.json'), null)
  const { readdirSync, readFileSync, statSync } = await import('node:fs')
  const { join } = await import('node:path')
  const paths = readdirSync(webDirectory(), { recursive: true, encoding: 'utf8' }).map(name =>
    join(webDirectory(), name),
  )
  const texts = paths.filter(path => statSync(path).isFile()).map(path => readFileSync(path, 'utf8'))
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  t.ok(bytes < webPageBytesMax, `${bytes} bytes`)
  for (const text of texts) {
    t.notMatch(text.replaceAll('http://www.w3.org/2000/svg', ''), /https?:\/\/(?!127)/)
    t.notMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc/)
  }
  await t.rejects(new WebFiles('/nonexistent').find(''), { code: 'not-found' })
})
