/** Configuration files read in a process of their own: what it says is what this process reads. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readConfigurationFile } from '../../../src/daemon/config/configuration-file.ts'
import { readConfigurationIn } from '../../../src/daemon/supervisor/read-configuration.ts'
import { ownWorkerMain } from '../../../src/daemon/supervisor/worker-binary.ts'

t.test('the document is that of the file, or the complaint about it', async t => {
  const file = join(t.testdir(), 'p.yaml')
  const texts = [
    'mountpoint: /mnt\norigin: { url: "http://host/é" }\n',
    'origin: [\n',
    'orgin: { url: "http://host/" }\n',
  ]
  for (const text of texts) {
    writeFileSync(file, text, { mode: 0o600 })
    const own = await readConfigurationFile(file).catch(error => error)
    const read = await readConfigurationIn(ownWorkerMain, file).catch(error => error)
    if (own instanceof Error) t.match(read, { code: 'invalid-argument', message: own.message })
    else t.same(read, own.document)
  }
})

t.test('a file that is not there, a process that is late, and a program that is gone are complaints', async t => {
  const file = join(t.testdir(), 'p.yaml')
  const refused = { code: 'invalid-argument' }
  await t.rejects(readConfigurationIn(ownWorkerMain, file), { ...refused, message: /p\.yaml cannot be used/ })
  await t.rejects(readConfigurationIn(ownWorkerMain, file, 1), { ...refused, message: /p\.yaml could not be read/ })
  await t.rejects(readConfigurationIn('/nowhere/daemon/worker/worker-main.js', file), refused)
})
