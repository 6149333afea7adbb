/** The effective configuration as a file. */
import t from 'tap'
import { configure } from '../../../src/daemon/config/configuration.ts'
import { parseConfiguration } from '../../../src/daemon/config/configuration-file.ts'
import { effectiveConfigText } from '../../../src/daemon/config/effective-config.ts'

const surroundings = { uid: 0, gid: 0, home: '/root' }
const text = `
mountpoint: /mnt/a
origin: { url: "https://host/images/", missTimeout: 90s, retryPause: 1500ms }
cache: { capacity: 300MiB, highWatermark: 92.5%, scrubRate: 100KiB/s }
attributes: { uid: 7, mode: "0440" }
log: { level: warn }
`

t.test('defaults are marked, what was said is not, and read back it means the same', async t => {
  const { document, settings } = parseConfiguration('f', text)
  const configuration = configure({ document, mountpoint: '/mnt/a' }, surroundings)
  const said = effectiveConfigText(document, configuration)
  for (const line of ['mountpoint: /mnt/a', '  capacity: 300MiB', '  missTimeout: 90s', '  mode: "0440"', '  uid: 7']) {
    t.match(said, new RegExp(`^${line}$`, 'm'))
  }
  for (const line of [
    '  blockSize: 64KiB',
    '  gid: 0',
    '  lowWatermark: 90%',
    'allowOther: true',
    '  tries: 3',
    '  kind: http',
  ]) {
    t.match(said, new RegExp(`^${line} # default$`, 'm'))
  }
  t.match(said, /^ {2}directory: \/var\/cache\/parentfs\/[0-9a-f]{16} # default$/m)
  const again = parseConfiguration('again', said)
  t.same(configure({ document: again.document, mountpoint: '/mnt/a' }, surroundings), configuration)
  t.same(again.settings.cache.capacity, settings.cache.capacity)
})

t.test('several origins and their secrets are shown as they were said, and no mountpoint that was not', async t => {
  const several = `
cache: { directory: /c }
origins:
  a: { url: "file:///a" }
  b: { url: "http://b/", bearer: { command: [/bin/token, x] } }
`
  const { document } = parseConfiguration('f', several)
  const configuration = configure({ document, mountpoint: '' }, surroundings)
  const said = effectiveConfigText(document, configuration)
  t.notMatch(said, /mountpoint|places/)
  t.match(said, /^ {8}- \/bin\/token$/m)
  t.match(said, /^ {6}refresh: .*# default$/m)
  const again = parseConfiguration('again', said)
  t.same(configure({ document: again.document, mountpoint: '' }, surroundings).places, configuration.places)
})
