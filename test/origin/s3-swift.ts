/**
 * Buckets of Swift's s3api as origins, against a real one.
 */
import t from 'tap'
import { s3Contract } from '../contract/s3.ts'
import { noSwift, startSwift } from '../fixtures/swift-server.ts'

if (noSwift !== false) {
  t.test("buckets of Swift's s3api", { skip: noSwift }, async () => {})
} else {
  const { s3 } = await startSwift(t)
  s3Contract("Swift's s3api", () => s3)
}
