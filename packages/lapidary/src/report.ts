export * from '@lapidary/trainer/report';
