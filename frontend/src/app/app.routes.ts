import type { Routes } from '@angular/router';

// Each page is a file of its own that is fetched when somebody goes there.
export const routes: Routes = [
  { path: '', pathMatch: 'full', redirectTo: 'try/image' },
  {
    path: 'service',
    title: 'Service',
    loadComponent: () => import('./features/service/service-page').then((page) => page.ServicePage),
  },
  {
    path: '**',
    title: 'Not found',
    loadComponent: () =>
      import('./features/not-found/not-found-page').then((page) => page.NotFoundPage),
  },
];
