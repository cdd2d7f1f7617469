import { createMemoryStore } from './memory-store.js';
import { testStoreContract } from './testing/store-contract.js';

testStoreContract('memory', async () => createMemoryStore());
