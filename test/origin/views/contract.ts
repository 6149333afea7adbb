/** The contract of origins, kept by the raw views of packed images, and by the names that a view passes on. */
import { pathToFileURL } from 'node:url'
import { loadAddon } from '../../../src/native/addon.ts'
import { openOrigin } from '../../../src/origin/open-origin.ts'
import { originContract } from '../../contract/origin.ts'
import { noHoles } from '../../fixtures/extents.ts'
import { startHttpOrigin } from '../../fixtures/http-origin.ts'
import { packedTwin } from '../../fixtures/raw-names.ts'

const opening = { addon: noHoles, unpacker: loadAddon(), options: { views: ['raw'] } } as const

originContract(
  'a raw view of a directory',
  async directory => await packedTwin(directory, async twin => openOrigin(pathToFileURL(twin).href, opening)),
  { digests: false },
)

originContract(
  'a raw view of a web server',
  async (directory, t) =>
    await packedTwin(directory, async twin => {
      const server = await startHttpOrigin({ directory: twin })
      t.teardown(() => server.close())
      return openOrigin(server.url, opening)
    }),
  { digests: false },
)

originContract('a directory beside raw views', async directory => openOrigin(pathToFileURL(directory).href, opening))
