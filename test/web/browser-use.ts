/** The page in use: tables under the hand of a reader, actions that go wrong, small windows, and tokens of any text. */
import type { Browser } from 'playwright-core'
import t, { type Test } from 'tap'
import type { Progress } from '../../src/admin/progress-stream.ts'
import { CacheError } from '../../src/base/errors.ts'
import type { LongOptions } from '../../src/cache/operations/operations.ts'
import type { WebSource } from '../../src/web/web-pages.ts'
import { noBrowser, openPage, openServed, startBrowser, waitMs } from '../fixtures/chromium.ts'
import { until } from '../fixtures/until.ts'
import { fakeSource, imageStatus, servePage } from '../fixtures/web-page.ts'

const MiB = 1024 ** 2
const options = { skip: noBrowser }

let browser: Browser
if (!noBrowser) browser = await startBrowser(t)

const opened = (t: Test, served: { readonly port: number; link(): string }, more = {}) =>
  openServed(t, browser, served, more)

/** A source whose actions are these. */
function sourceWith(operations: object, ...names: readonly string[]): WebSource {
  const { source } = fakeSource(names.map(name => imageStatus(name, MiB, 0)))
  return { ...source, operations: { ...source.operations, ...operations } } as WebSource
}

t.test('a table keeps the focus while its figures go on', options, async t => {
  const { source } = fakeSource([imageStatus('a.raw', MiB, 0)])
  const { page, complaints } = await opened(t, await servePage(t, source))
  await page.keyboard.press('t')
  const rows = page.locator('[data-figure="reads"] tbody tr')
  await until(async () => (await rows.count()) > 2, waitMs, 'some samples')
  const table = page.locator('[data-figure="reads"] .scroll')
  await table.focus()
  const before = await rows.count()
  await until(async () => (await rows.count()) > before + 1, waitMs, 'two more samples')
  t.ok(await table.evaluate(element => element === element.ownerDocument.activeElement), 'the focus is in the table')
  // A picture and its table follow each other any number of times.
  await page.keyboard.press('t')
  await page.waitForSelector('[data-figure="reads"] svg')
  await page.keyboard.press('t')
  await page.waitForSelector('[data-figure="reads"] table')
  await page.keyboard.press('t')
  await page.waitForSelector('[data-figure="reads"] svg text')
  t.same(complaints, [])
})

t.test('a selected text of Health stays selected', options, async t => {
  const { source } = fakeSource([])
  const { page } = await opened(t, await servePage(t, source))
  await page.keyboard.press('2')
  await page.waitForSelector('[data-figure="origins"] tbody th')
  await page.evaluate('getSelection().selectAllChildren(document.querySelector("[data-figure=origins] tbody th"))')
  // As text: it runs in the page.
  await page.evaluate(`new Promise(resolve => {
    let left = 3
    new MutationObserver(() => --left || resolve()).observe(document.querySelector('[data-figure=in-flight] svg'), { childList: true })
  })`)
  t.match(await page.evaluate('getSelection().toString()'), 'http://origin.example/')
})

t.test('an action that goes wrong says why in a sentence', options, async t => {
  const promote = async (name: string, _: null, { signal, onProgress }: LongOptions<Progress>) => {
    if (name === 'gone.raw') throw new CacheError('not-found', 'gone.raw: the origin has it no more')
    onProgress?.({ name, phase: 'blocks', doneBytes: 1, totalBytes: 2 })
    await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  }
  const source = sourceWith({ promote }, 'gone.raw', 'slow.raw')
  const served = await servePage(t, source, true)
  const { page } = await opened(t, served)
  await page.keyboard.press('3')
  await page.click('a:has-text("gone.raw")')
  await page.click('button:text("Promote")')
  await page.waitForSelector('[role=status]:text-is("gone.raw: the origin has it no more")')
  await page.keyboard.press('3')
  await page.click('a:has-text("slow.raw")')
  await page.click('button:text("Promote")')
  await page.waitForSelector('[role=status]:text-is("promote: 1 B of 2 B")')
  await page.waitForSelector('button[aria-disabled="true"]:text("Evict")')
  const notes = '() => said.add(document.querySelector("#notice").textContent)'
  await page.evaluate(
    `{ window.said = new Set(); new MutationObserver(${notes}).observe(document, { subtree: true, childList: true }) }`,
  )
  await served.close()
  await page.waitForSelector('[role=status]:text-is("The daemon stopped before it was done: do it again.")')
  await page.waitForSelector('#state:text("no daemon")')
  await until(() => page.evaluate<boolean>('said.size > 0'), waitMs, 'a notice')
  t.notMatch(await page.evaluate<string>('[...said].join(" ")'), /network error|Failed to fetch/)
})

t.test('an eviction that was asked for once is forgotten when the focus goes', options, async t => {
  const { source, asked } = fakeSource([imageStatus('a.raw', MiB, 0)])
  const { page } = await opened(t, await servePage(t, source, true))
  await page.keyboard.press('3')
  await page.click('a:has-text("a.raw")')
  await page.click('button:text("Evict")')
  await page.waitForSelector('button:text("press again")')
  await page.focus('button:text("Promote")')
  await page.waitForSelector('button:text-is("Evict")')
  await page.click('button:text("Evict")')
  t.same(asked, [])
})

t.test('an image that is not there has one sentence, and no empty pictures', options, async t => {
  const { source } = fakeSource([imageStatus('a.raw', MiB, 0)])
  const served = await servePage(t, source, true)
  const { page } = await opened(t, served)
  await page.goto(`http://127.0.0.1:${served.port}/#/image/none.raw`)
  await page.waitForSelector('p[role=alert]:text("none.raw")')
  t.equal(await page.locator('#main figure:visible').count(), 0)
  t.equal(await page.locator('#main button:visible').count(), 0)
})

t.test(
  'a list without images, or without a match, says so; back from an image it is where it was',
  options,
  async t => {
    const empty = await opened(t, await servePage(t, fakeSource([]).source))
    await empty.page.keyboard.press('3')
    await empty.page.waitForSelector('text=No image was looked up yet: list the mount, or open one.')
    const many = Array.from({ length: 250 }, (_, k) => imageStatus(`image-${`${k}`.padStart(3, '0')}.raw`, MiB, 0))
    const { page } = await opened(t, await servePage(t, fakeSource(many).source))
    await page.keyboard.press('3')
    await page.waitForSelector('text=1 to 100 of 250')
    await page.keyboard.press('n')
    await page.waitForSelector('text=101 to 200 of 250')
    await page.click('a:has-text("image-150.raw")')
    await page.waitForSelector('#main[data-view="image"] [data-figure="facts"] table')
    t.equal(await page.evaluate('scrollY'), 0, 'a view begins at its top')
    await page.goBack()
    await page.waitForSelector('text=101 to 200 of 250')
    await page.keyboard.type('/nothing')
    await page.waitForSelector('text=None of 250 images has that in its name.')
  },
)

t.test('a small window, or a zoom of 200 %, is not covered by the header', options, async t => {
  const { source } = fakeSource([imageStatus('a.raw', MiB, 0)])
  const viewport = { width: 640, height: 450 }
  const { page } = await opened(t, await servePage(t, source), { viewport, deviceScaleFactor: 2 })
  await page.waitForSelector('[data-figure="used"] svg')
  await page.evaluate('scrollTo(0, document.body.scrollHeight)')
  await until(() => page.evaluate<boolean>('scrollY > 500'), waitMs, 'the end of the page')
  t.ok((await page.evaluate<number>('document.querySelector("header").getBoundingClientRect().bottom')) <= 0)
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 640)
})

t.test('names that differ in their spaces alone look different', options, async t => {
  const { source } = fakeSource([imageStatus('a  b.raw', MiB, 0), imageStatus('a b.raw', MiB, 0)])
  const { page } = await opened(t, await servePage(t, source))
  await page.keyboard.press('3')
  await page.waitForSelector('text=1 to 2 of 2')
  const [two, one] = await page.$$eval('#main tbody a bdi', names =>
    names.map(name => name.getBoundingClientRect().width),
  )
  t.ok(two! > one! + 2, `${two} and ${one} pixels`)
})

t.test('a link may have a token of base64, whatever its characters', options, async t => {
  const { source } = fakeSource([])
  const secret = 'Zm9v+YmFy/cXV4IHF1dXg%3D=='
  const { port } = await servePage(t, source, false, 0, secret)
  const base = `http://127.0.0.1:${port}/`
  for (const said of ['link', 'pasted link', 'pasted token']) {
    const { page, context } = await openPage(browser, base)
    t.teardown(() => context.close())
    page.setDefaultTimeout(waitMs)
    const link = `${base}#token=${encodeURIComponent(secret)}`
    await page.goto(said === 'link' ? link : base)
    if (said !== 'link') {
      await page.fill('#main input', said === 'pasted token' ? secret : link)
      await page.keyboard.press('Enter')
    }
    await page.waitForSelector('#state:text("live")')
    t.notMatch(page.url(), /token/, said)
  }
  const plain = 'Zm9v+YmFy/cXV4IHF1dXg=='
  const other = await servePage(t, source, false, 0, plain)
  const { page, context } = await openPage(browser, `http://127.0.0.1:${other.port}/`)
  t.teardown(() => context.close())
  await page.goto(`http://127.0.0.1:${other.port}/#token=${plain}`)
  await page.waitForSelector('#state:text("live")', { timeout: waitMs })
})
