"""The LightningModule and what its training needs."""
