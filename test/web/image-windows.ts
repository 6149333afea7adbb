/** Windows of images: one walk for many pages, repeated by its cost. */
import t from 'tap'
import { ImageWindows, type WindowRequest } from '../../src/web/image-windows.ts'
import { webImagesCostShare, webImagesFreshMs } from '../../src/web/limits.ts'
import { imageStatus } from '../fixtures/web-page.ts'

const all: WindowRequest = { from: 0, count: 100, order: 'name', search: '' }

t.test('twenty pages cost one walk, and one that took long is repeated later', async t => {
  let [nowMs, walks, costMs] = [0, 0, 0]
  const images = Array.from({ length: 1000 }, (_, k) => imageStatus(`image-${k}`, k, 0))
  const windows = new ImageWindows(
    () => {
      walks++
      nowMs += costMs
      return images
    },
    () => nowMs,
  )
  const texts = await Promise.all(Array.from({ length: 20 }, () => windows.windowText(all)))
  t.equal(walks, 1)
  t.ok(texts.every(text => text === texts[0]))
  t.match(JSON.parse(texts[0]!), { total: 1000, found: 1000, images: { length: 100 } })
  t.notSame(await windows.windowText({ ...all, from: 100 }), texts[0])
  nowMs += webImagesFreshMs - 1
  await windows.windowText(all)
  t.equal(walks, 1)
  nowMs += 1
  costMs = 100
  await windows.windowText(all)
  t.equal(walks, 2)
  nowMs += costMs / webImagesCostShare - 1
  await windows.windowText(all)
  t.equal(walks, 2)
  nowMs += 1
  await windows.windowText(all)
  t.equal(walks, 3)
})

t.test('a change on request is seen at once, also where the same was asked before', async t => {
  let size = 1
  const windows = new ImageWindows(() => [imageStatus('a', size, 0)])
  t.match(await windows.windowText(all), '"sizeBytes":1,')
  size = 2
  t.match(await windows.windowText(all), '"sizeBytes":1,')
  windows.forget()
  t.match(await windows.windowText(all), '"sizeBytes":2,')
})
