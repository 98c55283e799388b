"""The paper's two small models, trained on laws."""
