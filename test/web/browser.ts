/** The page in a real browser: every view in both themes, keys, many and hostile names, and large images. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { noBrowser, openServed, startBrowser, waitMs } from '../fixtures/chromium.ts'
import { until } from '../fixtures/until.ts'
import { fakeSource, imageStatus, liveStatus, servePage, TiB } from '../fixtures/web-page.ts'

const MiB = 1024 ** 2
const options = { skip: noBrowser }
const hostile = [
  '<script>window.broken = 1</script>.raw',
  '"><img src=x onerror="window.broken = 1">',
  'a\u202egpj.exe',
  'tab\there\u0007\u001b[2J',
  '../../%2e%2e/#/health?x=1&y=2',
]

let browser: Browser
if (!noBrowser) browser = await startBrowser(t)

const opened = (t: Test, served: { readonly port: number; link(): string }, more = {}) =>
  openServed(t, browser, served, more)

/** A directory beside the test for pictures. */
function shotsIn(t: Test): string {
  const directory = process.env.SCREENSHOTS ?? join(t.testdirName, 'shots')
  mkdirSync(directory, { recursive: true })
  return directory
}

const view = (page: Page) => page.getAttribute('#main', 'data-view')

t.test('every view in both themes says what there is, with nothing from elsewhere', options, async t => {
  const { source } = fakeSource([imageStatus('debian.raw', 64 * MiB, 32 * MiB), imageStatus('b.raw', MiB, MiB)], busy())
  const served = await servePage(t, source)
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, complaints } = await opened(t, served, { colorScheme, reducedMotion: 'reduce' })
    t.notMatch(page.url(), /token/, 'the token is out of the address')
    const shots = shotsIn(t)
    for (const [key, name, figures] of [
      ['1', 'overview', ['capacity', 'throughput', 'reads', 'hit-latency', 'miss-latency', 'promotion', 'used']],
      ['2', 'health', ['disk', 'storm', 'in-flight', 'lag', 'origins', 'work']],
      ['3', 'images', ['images']],
      ['4', 'curve', ['curve']],
      ['5', 'fleet', ['fleet']],
    ] as const) {
      await page.keyboard.press(key)
      await page.waitForSelector(`#main[data-view="${name}"]`)
      for (const id of figures) await page.waitForSelector(`[data-figure="${id}"]:visible`)
      await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`), fullPage: true })
    }
    await page.keyboard.press('3')
    await page.click('a:has-text("debian.raw")')
    for (const id of ['map', 'ages', 'profile', 'facts']) await page.waitForSelector(`[data-figure="${id}"]:visible`)
    await page.waitForSelector('text=The whole image')
    await page.waitForSelector('[data-figure="facts"] tr:has-text("mode"):has-text("proxy")')
    await page.waitForSelector('[data-figure="locations"] tr:has-text("quarantined"):has-text("<b>")')
    await page.screenshot({ path: join(shots, `image-${colorScheme}.png`), fullPage: true })
    const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor')
    t.equal(ground === 'rgb(251, 251, 250)', colorScheme === 'light', 'the theme of the system')
    // Every picture as a table.
    for (const [key, tables] of [
      ['1', 7],
      ['2', 7],
      ['4', 1],
      ['5', 1],
    ] as const) {
      await page.keyboard.press(key)
      await page.keyboard.press('t')
      const isThere = async () => (await page.locator('#main figure table').count()) >= tables
      await until(isThere, waitMs, 'the tables')
      t.equal(await page.locator('#main figure svg').count(), 0, 'no picture is left')
      if (key === '4') await page.waitForSelector('th:text("1000 MiB (now)")')
      if (key === '5') await page.waitForSelector('tr:has-text("<b>c\\\\u{202e}"):has-text("quarantined")')
      await page.keyboard.press('t')
    }
    t.same(complaints, [])
  }
})

/** A status that goes on: each look is a second of work later. */
function busy(): () => ReturnType<typeof liveStatus> {
  let looks = 0
  return () => {
    looks++
    const counts = new Array<number>(27).fill(0)
    counts[5] = 90 * looks
    counts[12] = 2 * looks
    const latency = { counts, sumSeconds: looks }
    return liveStatus({
      reads: { hits: 900 * looks, misses: 10 * looks, hitBytes: 90 * MiB * looks, missBytes: MiB * looks },
      latencies: { memory: latency, disk: latency, store: latency, origin: latency },
    })
  }
}

t.test('keys: a letter right after the slash is in the search; help; themes; rows', options, async t => {
  const names = ['alpha.raw', 'beta.raw', 'alphabet.raw']
  const { source } = fakeSource(names.map(name => imageStatus(name, MiB, 0)))
  const { page, complaints } = await opened(t, await servePage(t, source))
  await page.keyboard.type('/alpha')
  t.equal(await page.inputValue('#search'), 'alpha')
  await page.waitForSelector('#main[data-view="images"]')
  await until(async () => (await page.locator('#main tbody tr').count()) === 2, waitMs, 'two rows')
  await page.keyboard.press('Escape')
  await page.keyboard.press('j')
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#main[data-view="image"]')
  t.match(await page.textContent('#main h2'), 'alphabet.raw')
  await page.keyboard.press('?')
  t.ok(await page.isVisible('#keys'))
  await page.keyboard.press('Escape')
  t.notOk(await page.isVisible('#keys'))
  await page.keyboard.press('d')
  t.equal(await page.getAttribute('html', 'data-theme'), 'dark')
  await page.keyboard.press('d')
  t.equal(await page.getAttribute('html', 'data-theme'), 'light')
  t.same(complaints, [])
})

t.test('ten thousand images come in windows, and names are text whatever they say', options, async t => {
  const many = Array.from({ length: 10_000 }, (_, k) => imageStatus(`image-${`${k}`.padStart(5, '0')}.raw`, MiB * k, 0))
  const { source } = fakeSource([...hostile.map(name => imageStatus(name, MiB, MiB)), ...many])
  const { page, complaints } = await opened(t, await servePage(t, source))
  await page.keyboard.press('3')
  await page.waitForSelector('text=1 to 100 of 10005')
  t.equal(await page.locator('#main tbody tr').count(), 100)
  const shown = await page.$$eval('#main tbody a', links => links.slice(0, 5).map(link => link.textContent))
  t.same(shown, [hostile[0], hostile[1], 'a\\u{202e}gpj.exe', 'tab\\u{9}here\\u{7}\\u{1b}[2J', hostile[4]])
  for (const k of [0, 1, 2, 3, 4]) {
    await page.keyboard.press('3')
    await page.waitForSelector('#main[data-view="images"] tbody tr')
    await page.locator('#main tbody a').nth(k).click()
    await page.waitForSelector('#main[data-view="image"] [data-figure="facts"] table')
    t.equal(await view(page), 'image')
    t.equal(await page.locator('#main p[role=alert]').textContent(), '', 'the name came through')
  }
  await page.keyboard.press('3')
  await page.waitForSelector('text=1 to 100 of 10005')
  await page.keyboard.press('n')
  await page.waitForSelector('text=101 to 200 of 10005')
  await page.click('th button:text("size")')
  await page.waitForSelector('a:has-text("image-09999.raw")')
  await page.keyboard.type('/04217')
  await page.waitForSelector('text=1 to 1 of 1')
  t.equal(await page.evaluate('"broken" in window'), false)
  t.same(complaints, [])
})

t.test('an image of 4 TiB has a map of bounded size, down to single blocks', options, async t => {
  const { source } = fakeSource([imageStatus('huge.raw', 4 * TiB, TiB)])
  const { page, complaints } = await opened(t, await servePage(t, source))
  let mapBytes = 0
  page.on('response', async response => {
    if (response.url().includes('api/map'))
      mapBytes = Math.max(mapBytes, (await response.body().catch(() => '')).length)
  })
  await page.keyboard.press('3')
  await page.click('a:has-text("huge.raw")')
  await page.waitForSelector('text=A cell is 1.00 GiB')
  const canvas = page.locator('canvas')
  t.match(await canvas.getAttribute('aria-label'), /The whole image: .* held/)
  // Sixteen times a quarter.
  for (let k = 0; k < 16; k++) {
    const before = await canvas.getAttribute('aria-label')
    if (before?.includes('A cell is 64.0 KiB')) break
    await page.keyboard.press('+')
    await until(async () => (await canvas.getAttribute('aria-label')) !== before, waitMs, 'another map')
  }
  t.match(await canvas.getAttribute('aria-label'), /A cell is 64.0 KiB/)
  await page.keyboard.press('0')
  await page.waitForSelector('text=A cell is 1.00 GiB')
  await page.keyboard.press('t')
  await page.waitForSelector('[data-figure="map"] table')
  t.ok(mapBytes > 0 && mapBytes < 64 * 1024, `${mapBytes} bytes`)
  t.same(complaints, [])
})

t.test('actions are there where they are allowed, and nowhere else', options, async t => {
  const { source, asked } = fakeSource([imageStatus('a.raw', MiB, 0)])
  const looking = await opened(t, await servePage(t, source))
  await looking.page.keyboard.press('3')
  await looking.page.click('a:has-text("a.raw")')
  await looking.page.waitForSelector('[data-figure="facts"] table')
  t.equal(await looking.page.locator('button:text("Promote")').count(), 0)
  const acting = await opened(t, await servePage(t, source, true))
  await acting.page.keyboard.press('3')
  await acting.page.click('a:has-text("a.raw")')
  await acting.page.click('button:text("Promote")')
  await acting.page.waitForSelector('text=1 B promoted, 1 B were there.')
  await acting.page.click('button:text("Pin")')
  await acting.page.waitForSelector('text=Pinned.')
  await acting.page.click('button:text("Evict")')
  t.same(asked, ['promote a.raw', 'pin a.raw'], 'evicting is asked for twice')
  await acting.page.click('button:text("press again")')
  await acting.page.waitForSelector('text=1.00 MiB evicted.')
  t.same(asked, ['promote a.raw', 'pin a.raw', 'evict a.raw'])
  t.same([...looking.complaints, ...acting.complaints], [])
})

t.test('the text of a picture has its size in a narrow window, too', options, async t => {
  const { source } = fakeSource([imageStatus('a.raw', MiB, 0)])
  const { page, complaints } = await opened(t, await servePage(t, source), { viewport: { width: 400, height: 900 } })
  const heights = `[...document.querySelectorAll('#main svg text')].map(each => each.getBoundingClientRect().height)`
  for (const [key, id, count] of [
    ['1', 'capacity', 2],
    ['4', 'curve', 6],
    ['5', 'fleet', 2],
  ] as const) {
    await page.keyboard.press(key)
    await page.waitForSelector(`[data-figure="${id}"]:visible`)
    // The widths come after the first drawing.
    const isReadable = async () => {
      const found: number[] = await page.evaluate(heights)
      return found.length >= count && found.every(height => height > 9)
    }
    await until(isReadable, waitMs, `readable text of ${id}`)
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 400, 'nothing beyond the window')
  }
  t.same(complaints, [])
})

t.test('ticks of a picture have labels of their own, one is not many, and a value alone is seen', options, async t => {
  const counts = new Array<number>(27).fill(0)
  let looks = 0
  // One read of 700 bytes, by the third look.
  const source = fakeSource([imageStatus('a.raw', MiB, 0)], () => {
    const n = ++looks < 3 ? 0 : 1
    counts[5] = n
    const latency = { counts: [...counts], sumSeconds: n }
    return liveStatus({
      reads: { hits: n, misses: 0, hitBytes: 700 * n, missBytes: 0 },
      latencies: { memory: latency, disk: latency, store: latency, origin: latency },
      health: { state: 'healthy', reason: '', sinceSeconds: 60, busyTimes: 1 },
      passthrough: { off: '', opens: 0, openNow: 0, images: 1, heldBytes: 0, refused: 0, repairedBlocks: 0 },
    })
  }).source
  const { page, complaints } = await opened(t, await servePage(t, source))
  await until(
    async () => (await page.locator('[data-figure="hit-latency"] path.c-hit').count()) === 1,
    waitMs,
    'a line',
  )
  const dots = async () => (await page.getAttribute('[data-figure="hit-latency"] path.c-hit', 'd')) ?? ''
  await until(async () => (await dots()) !== '', waitMs, 'the read')
  const box = await page.locator('[data-figure="hit-latency"] path.c-hit').boundingBox()
  t.ok((box?.width ?? 0) >= 3, `a dot of ${box?.width} pixels`)
  for (const key of ['1', '2']) {
    await page.keyboard.press(key)
    await page.waitForSelector(`[data-figure="${key === '1' ? 'used' : 'lag'}"] svg text`)
    const ticks: string[][] = await page.evaluate(
      `[...document.querySelectorAll('#main svg')].map(svg => [...svg.querySelectorAll('text[text-anchor=end]:not(:last-of-type)')].map(text => text.textContent))`,
    )
    t.ok(ticks.some(labels => labels.length > 2))
    for (const labels of ticks) t.equal(new Set(labels).size, labels.length, labels.join(', '))
  }
  const text = (await page.textContent('#main')) ?? ''
  t.match(text, 'Too slow for readers 1 time.')
  t.match(text, '1 image')
  t.notMatch(text, /\b1 (image|time|request|reader)s/)
  t.same(complaints, [])
})

t.test('a fleet of a hundred hosts has labels apart from each other, and says what it leaves out', options, async t => {
  const { source } = fakeSource([])
  const member = { state: 'up', health: 'well', reason: '', latencyMs: 1, requests: 1, bytes: MiB, refusals: 0 }
  const members = Array.from({ length: 100 }, (_, k) => {
    return { ...member, failures: 0, id: `${k}`, url: `https://host-${k}.rack.example:7447/`, isOwn: k === 0 }
  })
  const group = { group: 'row-4', offload: 0.5, members }
  const served = await servePage(t, { ...source, reports: { ...source.reports, fleet: () => group } } as typeof source)
  for (const width of [1280, 400]) {
    const { page, complaints } = await opened(t, served, { viewport: { width, height: 900 } })
    await page.keyboard.press('5')
    await page.waitForSelector('text=100 hosts')
    await page.waitForSelector('text=60 of them are drawn')
    const overlaps = `(() => {
      const boxes = [...document.querySelectorAll('[data-figure=fleet] svg text')].map(each => each.getBoundingClientRect())
      const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
      const inside = ({ left, right }) => left >= 0 && right <= innerWidth
      return { labels: boxes.length, out: boxes.filter(box => !inside(box)).length,
        pairs: boxes.flatMap((a, k) => boxes.slice(k + 1).filter(b => meet(a, b))).length }
    })()`
    const isDrawn = async () => (await page.evaluate<{ pairs: number; out: number }>(overlaps)).out === 0
    await until(isDrawn, waitMs, 'labels inside of the window')
    const { labels, pairs } = await page.evaluate<{ labels: number; pairs: number }>(overlaps)
    t.ok(labels > 5, `${labels} labels`)
    t.equal(pairs, 0, 'labels that overlap')
    t.equal(await page.locator('[data-figure="fleet"] svg circle title').count(), 60, 'each host tells its name')
    t.same(complaints, [])
  }
})
