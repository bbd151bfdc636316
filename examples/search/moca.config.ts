import { defineApp, defineConfig } from 'mocajs'
import { Author, Book } from './doctypes.ts'

export default defineConfig({
  namespace: 'search',
  apps: [defineApp({ name: 'library', doctypes: [Author, Book], handlers: async () => ({}) })],
})
