/**
 * A web server as an origin: every kind that can be one, every kind that cannot, every wrong answer.
 */
import { HttpOrigin } from '../../src/origin/http.ts'
import { originContract } from '../contract/origin.ts'
import { startHttpOrigin } from '../fixtures/http-origin.ts'

for (const variant of [
  {},
  { listing: 'html' },
  { etag: 'weak', listing: 'none' },
  { etag: 'none', ranges: 'silent' },
  { head: false },
] as const) {
  originContract(`a web server ${JSON.stringify(variant)}`, async (directory, t) => {
    const server = await startHttpOrigin({ directory, ...variant })
    t.teardown(() => server.close())
    return new HttpOrigin(server.url)
  })
}
